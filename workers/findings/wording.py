"""Findings in words, by rule: by organ, with their locations, in English or Chinese from one table.

A finding below its threshold is reported as not seen only where the card shows that the model can exclude it, see
`can_exclude`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from math import sqrt

from models.card import Card, Label
from workers.dicom.uids import Context
from workers.findings.findings import Finding, Region
from workers.findings.location import Location

LEAST_SENSITIVITY = 0.90
_Z = 1.959964  # of a two-sided 95 % interval

LANGUAGES = ("en", "zh")
# Each phrase: (English, Chinese).
PHRASES = {
    "research": (
        "Research software, not a medical device; not for diagnosis.",
        "研究软件,非医疗器械,不得用于诊断。",
    ),
    "research use": ("research use, not for diagnosis", "仅供研究使用,不得用于诊断"),
    "heading": (
        "Findings by organ, worded by rule from the model's numbers.",
        "按器官列出的所见,由模型数值按规则生成。",
    ),
    "present": ("{name}, {quantity} {value}: {places}.", "{name},{quantity} {value}:{places}。"),
    "diffuse": ("diffuse, {lungs}", "弥漫性,{lungs}"),
    "both lungs": ("both lungs", "双肺"),
    "right lung": ("right lung", "右肺"),
    "left lung": ("left lung", "左肺"),
    "lung in the picture's left": ("lung in the left part of the picture", "图像左部的肺"),
    "lung in the picture's right": ("lung in the right part of the picture", "图像右部的肺"),
    "raised": ("Outlines show what raised the score.", "轮廓所示为使评分升高之处。"),
    "own": ("Outlines are the network's own masks or boxes.", "轮廓为网络直接给出的分割或方框。"),
    "present, no region": ("{name}, {quantity} {value}, no region shown.", "{name},{quantity} {value},未标出位置。"),
    "keeps the order": (
        "By its card it does not change the reading order.",
        "按其模型卡,不改变阅片顺序。",
    ),
    "simulated": ("Trained on simulated lesions.", "模型用模拟病灶训练。"),
    "excluded": ("No {name} seen.", "未见{name}。"),
    "not excluded": (
        "Below threshold, and not excluded: {names}.",
        "低于阈值,但不能排除:{names}。",
    ),
    "class without finding": (
        "No finding: {name} is the most probable class, {quantity} {value}.",
        "无所见:概率最高的类别为{name},{quantity} {value}。",
    ),
    "grade without finding": ("No finding: {name}, {quantity} {value}.", "无所见:{name},{quantity} {value}。"),
    "grade": ("{name} (grade {number} of 0 to {highest})", "{name}(0 至 {highest} 级中的 {number} 级)"),
    "nothing": ("No finding reaches its threshold.", "无所见达到阈值。"),
    "rule": (
        "A finding counts as excluded only where the model's sensitivity at its threshold, measured on images "
        "kept apart, is at least {least} at the lower end of its 95 % interval.",
        "仅当在独立图像上测得的该阈值处灵敏度的 95 % 置信区间下限不低于 {least} 时,才表述为“未见”。",
    ),
    "below": ("Below threshold: {names}.", "低于阈值:{names}。"),
    "study": (
        "Patient ID {patient}, accession number {accession}, study of {date}.",
        "患者编号 {patient},检查号 {accession},检查日期 {date}。",
    ),
    "made by": (
        "{title}: {package} {version}, ReadFirst {readfirst}",
        "{title}:{package} {version},ReadFirst {readfirst}",
    ),
    "probability": ("probability", "概率"),
    "score": ("score", "评分"),
    "zone": ("{side} {zone} zone", "{side}{zone}野"),
    "picture": ("{zone} third, {part} of the picture", "图像{zone}三分之一处{part}"),
    "slice": ("{side}, slice at z = {z:.1f} mm (image {image:.0f})", "{side},层面 z = {z:.1f} mm(图像 {image:.0f})"),
    "right": ("right", "右侧"),
    "left": ("left", "左侧"),
    "central": ("central", "中央"),
    "midline": ("midline", "中线"),
    "upper": ("upper", "上"),
    "middle": ("middle", "中"),
    "lower": ("lower", "下"),
    "left part": ("left part", "左部"),
    "right part": ("right part", "右部"),
    "middle part": ("middle", "中部"),
    "and": ("; ", ";"),
    "comma": (", ", "、"),
    "report": ("AI report", "人工智能报告"),
}
# By the code of the label's site; of others the code's own meaning is used.
ORGANS = {
    "39607008": ("Lungs", "肺"),
    "3120008": ("Pleura", "胸膜"),
    "80891009": ("Heart", "心脏"),
    "72410000": ("Mediastinum", "纵隔"),
    "5798000": ("Diaphragm", "膈"),
}
# By the label's code; in English the label's title is used.
FINDINGS_ZH = {
    "46621007": "肺不张",
    "8186001": "心影增大",
    "95436008": "肺实变",
    "19242006": "肺水肿",
    "60046008": "胸腔积液",
    "87433001": "肺气肿",
    "51615001": "肺纤维化",
    "84089009": "食管裂孔疝",
    "112121": "肺浸润影",
    "112001": "肺部阴影",
    "309529002": "肺肿块",
    "786838002": "肺结节",
    "PLEURAL_THICK": "胸膜增厚",
    "GROUND_GLASS_NOD": "肺磨玻璃结节",
    "233604007": "肺炎",
    "36118008": "气胸",
    "125605004": "骨折",
    "17621005": "正常",
    "BENIGN_LUNG": "肺良性病变",
    "363358000": "肺恶性肿瘤",
}


def phrase(key: str, language: str, **values: object) -> str:
    """A phrase of the table with its values."""
    return PHRASES[key][LANGUAGES.index(language)].format(**values)


def name(label: Label, language: str) -> str:
    """The finding's name; the card's title where the table has no Chinese one."""
    return label.title if language == "en" else FINDINGS_ZH.get(label.code.value, label.title)


def organ(label: Label, language: str) -> str:
    """The organ that the label's site stands for."""
    words = ORGANS.get(label.site.value)
    return words[LANGUAGES.index(language)] if words else label.site.meaning


def place(location: Location, language: str = "en") -> str:
    """Where a region is; without the patient's side where the image's orientation is unknown."""
    across = phrase(location.across, language)
    if not location.zone and location.z is None:
        return across
    if location.zone:
        zone = phrase(location.zone, language)
        name_ = "zone" if location.of_patient else "picture"
        across = phrase(name_, language, side=across, part=across, zone=zone)
    if location.z is None:
        return across
    return phrase("slice", language, side=across, z=location.z, image=location.image)


def locations(regions: Iterable[Region], language: str = "en") -> str:
    """Where they are, each place once: "right lower zone; left, slice at z = -125.0 mm (image 87)"."""
    return phrase("and", language).join(dict.fromkeys(place(region.location, language) for region in regions))


def finding_location(finding: Finding, regions: Iterable[Region], language: str = "en") -> str:
    """Where a finding is: the lungs that it fills, and its regions; empty where it has neither."""
    found = locations(regions, language)
    if not finding.diffuse:
        return found
    lungs = phrase("diffuse", language, lungs=phrase(finding.diffuse, language))
    return phrase("and", language).join(filter(None, (lungs, found)))


def amount(fraction: float, quantity: str, more: int = 0) -> str:
    """A probability in percent, a score as it is; with so many digits more."""
    return f"{100 * fraction:.{more}f} %" if quantity == "probability" else f"{fraction:.{2 + more}f}"


def value(finding: Finding, quantity: str) -> str:
    """The finding's number."""
    return amount(finding.probability, quantity)


def compared(finding: Finding, quantity: str) -> tuple[str, str]:
    """Its number and its threshold, with as many digits as it takes to see which one is larger."""
    pair = finding.probability, finding.threshold
    for more in range(5):
        number, threshold = (amount(each, quantity, more) for each in pair)
        if number != threshold:
            return number, threshold
    return amount(pair[0], quantity), amount(pair[1], quantity)


def graded_name(finding: Finding, language: str) -> str:
    """The finding's name, of an ordinal grade with its number: "Moderate (grade 2 of 0 to 4)"."""
    plain, grade = name(finding.label, language), finding.grade
    if grade is None:
        return plain
    return phrase("grade", language, name=plain, number=grade.number, highest=grade.highest)


def can_exclude(card: Card, label: Label) -> bool:
    """Whether "below threshold" may be read as "not seen".

    All measurements of the label on the card that were not made on training images are put together: of their positive
    images so many reached the threshold, and the lower end of Wilson's 95 % interval of that share must
    reach `LEAST_SENSITIVITY`. It takes at least 35 positive images. Nothing is claimed from specificity, nor from a
    negative predictive value, which depends on how frequent the finding is where the node stands. Of exclusive classes
    none is excluded: another one is more probable, and that is all. What was trained and measured on simulated lesions
    excludes no real one.
    """
    if card.exclusive or card.training.simulated:
        return False
    held_out = [
        one
        for one in card.training.measured
        if one.label == label.name and one.sensitivity is not None and not re.match(r"train(ing)?\b", one.data)
    ]
    positives = sum(one.positives for one in held_out)
    detected = sum(round((one.sensitivity or 0) * one.positives) for one in held_out)
    return positives > 0 and _lower_end(detected, positives) >= LEAST_SENSITIVITY


def report(
    found: Sequence[tuple[Finding, Sequence[Region]]], context: Context, language: str | None = None
) -> tuple[str, ...]:
    """The findings organ by organ, a line each, in the language given or else the context's.

    Parameters
    ----------
    found
        Each label's finding of the whole study with its regions in all images.
    """
    language = language or context.language
    every, found = found, [pair for pair in found if pair[0].label.finding]
    organs = dict.fromkeys(organ(finding.label, language) for finding, _ in found)
    lines = [phrase("heading", language)]
    for each in organs:
        of_organ = [pair for pair in found if organ(pair[0].label, language) == each]
        colon, space = (":", "") if language == "zh" else (":", " ")
        lines.append(each + colon + space + space.join(_of_organ(of_organ, context, language)))
    lines += without_finding([finding for finding, _ in every], context.card.quantity, language)
    return (*lines, phrase("rule", language, least=f"{100 * LEAST_SENSITIVITY:.0f} %"))


def without_finding(findings: Iterable[Finding], quantity: str, language: str) -> tuple[str, ...]:
    """A sentence where the most probable of exclusive classes is no finding."""
    return tuple(
        phrase(
            "grade without finding" if one.grade else "class without finding", language,
            name=graded_name(one, language), quantity=phrase(quantity, language),
            value=value(one, quantity),
        )
        for one in findings
        if one.decided and not one.label.finding
    )  # fmt: skip


def _of_organ(found: Sequence[tuple[Finding, Sequence[Region]]], context: Context, language: str) -> Iterator[str]:
    card = context.card
    present = sorted((pair for pair in found if pair[0].present), key=lambda pair: -pair[0].probability)
    absent = [finding.label for finding, _ in found if not finding.present and not finding.grade]
    for finding, regions in present:
        yield present_sentence(finding, regions, context, language)
        if finding.keeps_the_order:
            yield phrase("keeps the order", language)
    for label in absent:
        if can_exclude(card, label):
            yield phrase("excluded", language, name=_inside(label, language))
    unknown = [_inside(label, language) for label in absent if not can_exclude(card, label)]
    if unknown:
        yield phrase("not excluded", language, names=phrase("comma", language).join(unknown))


def present_sentence(finding: Finding, regions: Sequence[Region], context: Context, language: str) -> str:
    """A present finding with its number and its places."""
    quantity = context.card.quantity
    words = {
        "name": graded_name(finding, language),
        "quantity": phrase(quantity, language),
        "value": value(finding, quantity),
    }
    where = finding_location(finding, regions, language)
    key = "present" if where else "present, no region"
    sentence = phrase(key, language, places=where, **words)
    if not context.card.training.simulated:
        return sentence
    return sentence + ("" if language == "zh" else " ") + phrase("simulated", language)


def made_by(context: Context, language: str) -> str:
    """The model's name and version, and ours."""
    card = context.card
    return phrase(
        "made by", language, title=card.title, package=card.name, version=card.version, readfirst=context.version
    )  # fmt: skip


def _inside(label: Label, language: str) -> str:
    """A name within a sentence; abbreviations keep their capitals."""
    words = name(label, language).split(" ")
    return " ".join(word.lower() if word[1:2].islower() else word for word in words)


def _lower_end(hits: int, number: int) -> float:
    """Of Wilson's 95 % interval."""
    share = hits / number
    middle = share + _Z**2 / (2 * number)
    return (middle - _Z * sqrt(share * (1 - share) / number + _Z**2 / (4 * number**2))) / (1 + _Z**2 / number)
