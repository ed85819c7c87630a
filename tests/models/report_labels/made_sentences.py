"""Sentences of our own, with what they say, in families of templates; the rules were written on `DEVELOPMENT` alone.

Names and templates are by the author of the rules: what is measured is whether names, negation, uncertainty, comparison
and place survive other wording, not how well real reports are read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from models.findings.chest_ct import findings
from models.report_labels.labeler import Assertion

P, U, A = Assertion.PRESENT, Assertion.UNCERTAIN, Assertion.ABSENT


@dataclass(frozen=True, slots=True)
class Made:
    """A sentence, the finding that it is about, what it says of it, and where."""

    family: str
    text: str
    label: str
    assertion: Assertion
    place: str = ""


NAMES = {
    "bandlike_or_linear": ("linear opacities", "bandlike atelectasis"),
    "bronchial_wall_thickening": ("bronchial wall thickening", "airway wall thickening"),
    "groundglass": ("ground-glass opacity", "groundglass attenuation"),
    "honeycombing": ("honeycombing", "honeycomb change"),
    "reticulation": ("reticulation", "reticular opacities"),
    "tree_in_bud": ("tree-in-bud nodularity", "tree in bud opacities"),
    "airspace_disease": ("airspace disease", "air-space opacification"),
    "air_trapping": ("air trapping", "gas trapping"),
    "aspiration": ("aspiration", "aspirated material"),
    "atelectasis": ("atelectasis", "lobar collapse"),
    "bronchiectasis": ("bronchiectasis", "bronchiectatic airways"),
    "bronchiolectasis": ("bronchiolectasis", "traction bronchiolectasis"),
    "bronchiolitis": ("bronchiolitis", "infectious bronchiolitis"),
    "bronchitis": ("bronchitis", "chronic bronchitis"),
    "emphysema": ("centrilobular emphysema", "bullous change"),
    "hemothorax": ("hemothorax", "haemothorax"),
    "interstitial_lung_disease": ("interstitial lung disease", "usual interstitial pneumonia"),
    "lung_resection": ("lobectomy", "wedge resection"),
    "mucous_plugging": ("mucous plugging", "mucoid impaction"),
    "pleural_effusion": ("pleural effusion", "pleural fluid"),
    "pleural_thickening": ("pleural thickening", "thickening of the pleura"),
    "pneumonia": ("pneumonia", "bronchopneumonia"),
    "pneumonitis": ("pneumonitis", "radiation pneumonitis"),
    "pneumothorax": ("pneumothorax", "hydropneumothorax"),
    "pulmonary_edema": ("pulmonary edema", "interstitial oedema"),
    "septal_thickening": ("interlobular septal thickening", "septal lines"),
    "tuberculosis": ("tuberculosis", "tuberculous infection"),
    "cabg": ("coronary artery bypass grafts", "CABG"),
    "cardiomegaly": ("cardiomegaly", "cardiac enlargement"),
    "coronary_artery_disease": ("coronary artery calcification", "coronary atherosclerosis"),
    "heart_failure": ("heart failure", "cardiac decompensation"),
    "heart_valve_replacement": ("prosthetic aortic valve", "aortic valve replacement"),
    "pacemaker_or_defib": ("pacemaker", "implantable cardioverter defibrillator"),
    "pericardial_effusion": ("pericardial effusion", "pericardial fluid"),
    "pericardial_thickening": ("pericardial thickening", "thickening of the pericardium"),
    "sternotomy": ("sternotomy wires", "median sternotomy"),
    "arthritis": ("osteoarthritis", "degenerative arthropathy"),
    "atherosclerosis": ("aortic atherosclerosis", "atheromatous calcification"),
    "aneurysm": ("aneurysm", "aneurysmal dilatation"),
    "breast_implant": ("breast implants", "breast prosthesis"),
    "breast_surgery": ("mastectomy", "lumpectomy change"),
    "calcification": ("calcification", "calcified focus"),
    "cancer": ("malignancy", "metastatic disease"),
    "catheter_or_port": ("central venous catheter", "chest wall port"),
    "cavitation": ("cavitation", "cavitary change"),
    "clip": ("surgical clips", "clip"),
    "congestion": ("vascular congestion", "congestion"),
    "consolidation": ("consolidation", "consolidative opacity"),
    "cyst": ("cyst", "cystic change"),
    "debris": ("debris", "endobronchial debris"),
    "deformity": ("deformity", "compression deformity"),
    "density": ("density", "soft density"),
    "dilation_or_ectasia": ("dilation", "ectasia"),
    "distention": ("distention", "gaseous distension"),
    "fibrosis": ("fibrosis", "fibrotic change"),
    "fracture": ("fracture", "fracturing"),
    "granuloma": ("granuloma", "granulomatous disease"),
    "hardware": ("hardware", "fixation plate"),
    "hernia": ("hiatal hernia", "herniation"),
    "infection": ("infection", "infectious process"),
    "infiltrate": ("infiltrate", "infiltration"),
    "inflammation": ("inflammation", "inflammatory change"),
    "lesion": ("lesion", "focal lesion"),
    "lucency": ("lucency", "lucent area"),
    "lymphadenopathy": ("lymphadenopathy", "enlarged lymph node"),
    "mass": ("mass", "spiculated mass"),
    "nodule": ("nodule", "5 mm nodule"),
    "nodulegr1cm": ("14 mm nodule", "1.5 x 1.2 cm nodule"),
    "opacity": ("opacity", "opacification"),
    "plaque": ("plaque", "pleural plaque"),
    "postsurgical": ("postsurgical change", "post-operative change"),
    "scarring": ("scarring", "parenchymal scar"),
    "scattered_calc": ("scattered calcifications", "multiple calcified foci"),
    "scattered_nod": ("scattered nodules", "innumerable tiny nodules"),
    "secretion": ("secretions", "retained secretion"),
    "soft_tissue": ("soft tissue thickening", "soft-tissue prominence"),
    "staple": ("staple line", "surgical staples"),
    "stent": ("stent", "stent placement"),
    "suture": ("suture material", "sutures"),
    "transplant": ("lung transplant", "transplantation"),
    "chest_tube": ("chest tube", "pigtail pleural drain"),
    "tracheal_tube": ("endotracheal tube", "tracheostomy"),
    "gi_tube": ("nasogastric tube", "enteric tube"),
}
GROUPS = {one.name: one.group for one in findings()}
DEVELOPMENT = {
    "plain": (("There is {x}.", P), ("{X} in the right upper lobe.", P)),
    "denied": (("No {x} or effusion.", A), ("There is no evidence of {x}.", A)),
    "hedged": (("Possible {x}.", U), ("This may represent {x}.", U)),
    "compared": (("Unchanged {x}.", P), ("The previously seen {x} has resolved.", A)),
}
HELD_OUT = {
    "verbs": (
        ("Images demonstrate {x} today.", P), ("We note {x} on the axial images.", P), ("The study shows {x}.", P),
        ("{X} is again seen and is stable.", P), ("{X} persists.", P),
    ),
    "denials": (
        ("The study is negative for {x}.", A), ("Neither {x} nor any other acute abnormality is identified.", A),
        ("{X} is not appreciated on this examination.", A), ("The images fail to show {x}.", A), ("{X}: none.", A),
        ("No convincing {x}.", A), ("Absence of {x}.", A),
    ),
    "doubts": (
        ("{X} cannot be ruled out.", U), ("Findings raise concern for {x}.", U), ("Equivocal {x}.", U),
        ("{X} is suspected.", U), ("Questionable {x} is seen here.", U), ("Differential includes {x}.", U),
    ),
    "histories": (
        ("Interval development of {x} since the prior CT.", P), ("{X} has increased compared with the prior exam.", P),
        ("{X} is no longer visible.", A), ("{X} has cleared completely since the previous study.", A),
        ("No significant change in the {x}.", P), ("{X} has improved but has not resolved.", P),
    ),
    "contrasts": (
        ("No acute abnormality, but {x} is present.", P), ("Apart from {x}, the study is unremarkable.", P),
        ("Although the airways are clear, there is {x}.", P), ("Normal study except for {x}.", P),
        ("Clear airways without {x}.", A),
    ),
}  # fmt: skip
PLACED = {  # held out, too: where it lies
    "places": (
        ("In the left lower lobe there is {x}.", "left lower lobe"),
        ("{X} involving the right middle lobe is noted.", "right middle lobe"),
        ("The RUL shows {x}.", "right upper lobe"),
        ("{X} at the lung bases, unchanged.", "both lower lobes"),
        ("{X} within the lingula and a normal right lung.", "left upper lobe"),
    ),
}  # fmt: skip
PLACED_NAMES = (
    "nodule",
    "consolidation",
    "groundglass",
    "atelectasis",
    "emphysema",
    "mass",
    "bronchiectasis",
    "fibrosis",
)
NOTHING = (
    "The trachea is midline and patent.", "The thoracic inlet is unremarkable.", "Bony structures are intact.",
    "The lungs are clear.", "Normal caliber of the great vessels.", "The liver and spleen are within normal limits.",
    "The adrenal glands are normal.", "Technically adequate examination.", "The central airways are patent.",
    "Normal heart size and normal pericardium.", "The esophagus is unremarkable.", "No acute abnormality.",
)  # fmt: skip


def made(families: dict[str, tuple[tuple[str, Assertion], ...]]) -> Iterator[Made]:
    """Each template of each family with each name of each finding."""
    for family, templates in families.items():
        for text, assertion in templates:
            for label, names in NAMES.items():
                for name in names:
                    yield Made(family, _filled(text, name), label, assertion)


def placed() -> Iterator[Made]:
    """Sentences that say where."""
    for family, templates in PLACED.items():
        for text, place in templates:
            for label in PLACED_NAMES:
                yield Made(family, _filled(text, NAMES[label][0]), label, P, place)


def _filled(text: str, name: str) -> str:
    return text.format(x=name, X=name[:1].upper() + name[1:])


CHINESE = {
    "Atelectasis": ("肺不张", "膨胀不全"),
    "Cardiomegaly": ("心影增大", "心脏扩大"),
    "Consolidation": ("实变影", "大片实变"),
    "Edema": ("肺水肿", "肺间质水肿"),
    "Effusion": ("胸腔积液", "胸水"),
    "Emphysema": ("肺气肿", "肺大疱"),
    "Fibrosis": ("纤维化", "纤维条索影"),
    "Hernia": ("膈疝", "食管裂孔疝"),
    "Infiltration": ("浸润影", "片状浸润"),
    "Mass": ("肿块影", "占位性病变"),
    "Nodule": ("结节影", "小结节"),
    "Pleural_Thickening": ("胸膜增厚", "胸膜肥厚"),
    "Pneumonia": ("肺炎", "支气管肺炎"),
    "Pneumothorax": ("气胸", "液气胸"),
}
CHINESE_HELD_OUT = {  # the rules of Chinese were written before these
    "statements": (("胸片示{x}。", P), ("本次检查发现{x}，建议随访。", P), ("{x}，请结合临床。", P)),
    "denials": (("胸片未提示{x}。", A), ("未见确切{x}征象。", A), ("{x}不明确。", A), ("现片{x}已不明显。", A)),
    "doubts": (("{x}待排除，建议CT检查。", U), ("建议进一步检查除外{x}。", U), ("{x}可能性大。", U), ("疑似{x}。", U)),
    "histories": (
        ("与前片比较，{x}无显著变化。", P), ("{x}较前片减轻。", P), ("原{x}已消失。", A), ("{x}较前基本吸收。", A),
    ),
}  # fmt: skip


def made_in_chinese() -> Iterator[Made]:
    """Held-out templates with each name of each of the 14 findings."""
    for family, templates in CHINESE_HELD_OUT.items():
        for text, assertion in templates:
            for label, names in CHINESE.items():
                for name in names:
                    yield Made(family, text.format(x=name), label, assertion)
