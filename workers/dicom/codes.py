"""Coded concepts that results use, each with the context group or template that asks for it."""

from __future__ import annotations

import hashlib
from typing import Any

import highdicom as hd
from pydicom import Dataset

from models.card import Code, Label

PRIVATE = "99READFIRST"  # PS3.3 8.2: a private coding scheme starts with 99

# Document titles: CID 7021 Measurement Report Document Titles (extensible), CID 7000
REGIONS_TITLE = Code("126000", "DCM", "Imaging Measurement Report")
STATEMENT_TITLE = Code("18748-4", "LN", "Diagnostic Imaging Report")

# TID 1500, TID 1600, TID 1501
IMAGE_LIBRARY = Code("111028", "DCM", "Image Library")
IMAGE_LIBRARY_GROUP = Code("126200", "DCM", "Image Library Group")
SOURCE = Code("260753009", "SCT", "Source")
COMMENT = Code("121106", "DCM", "Comment")
DEVICE = Code("121007", "DCM", "Device")  # CID 270 Observer Type

# Procedure Reported where the study names none: CID 101 Imaging Procedures
PROCEDURES = {
    "CR": Code("399208008", "SCT", "Plain chest X-ray"),
    "DX": Code("399208008", "SCT", "Plain chest X-ray"),
    "CT": Code("169069000", "SCT", "CT of chest"),
}
ANY_PROCEDURE = Code("363679005", "SCT", "Imaging procedure")

# Purpose of a Contributing Equipment item: CID 7005
PROCESSING_EQUIPMENT = Code("109102", "DCM", "Processing Equipment")

# Purpose of a reference to an image: CID 7202; of the image that coordinates are of: TID 320, CID 7003 (Stone's)
SOURCE_IMAGE = Code("121322", "DCM", "Source image for image processing operation")
ORIGINAL_SOURCE = Code("111040", "DCM", "Original Source")

# Title of a selection of images: CID 7010
OF_INTEREST = Code("113000", "DCM", "Of Interest")

# Algorithm family: CID 7162
ALGORITHM_FAMILIES = {
    "neural network": Code("123110", "DCM", "Artificial Intelligence"),
    "classical image analysis": Code("123104", "DCM", "Morphological Operations"),
}

# What a map of it shows where CID 217 has no method of its own
SALIENCY = Code("130404", "DCM", "Saliency")
NO_UNITS = Code("1", "UCUM", "no units")
SCORE = Code("{score}", "UCUM", "score")  # an annotation, of no unit: viewers print "0.87 {score}", and not "0.87 1"

# A report in words: CID 7001, CID 7002, TID 1204 (RFC 5646)
FINDINGS_SECTION = Code("121070", "DCM", "Findings")
FINDING = Code("121071", "DCM", "Finding")
LANGUAGE = Code("121049", "DCM", "Language of Content Item and Descendants")
LANGUAGES = {"en": Code("en", "RFC5646", "English"), "zh": Code("zh", "RFC5646", "Chinese")}

# Segmented Property Category: CID 7150; the card's category is the key
SEGMENT_CATEGORIES = {
    "finding": Code("49755003", "SCT", "Morphologically Abnormal Structure"),
    "structure": Code("91723000", "SCT", "Anatomical Structure"),
}

# Present or absent: CID 240
PRESENCE = Code("705057003", "SCT", "Presence")
PRESENT = Code("52101004", "SCT", "Present")
ABSENT = Code("272519000", "SCT", "Absent")

# Actionable findings: CID 7035, the category on the card is the key
ACTIONABLE = Code("ACTIONABLE", PRIVATE, "Actionable finding category")
ACR_CATEGORIES = {
    1: Code("RID49480", "RADLEX", "ACR Category 1 Actionable Finding"),
    2: Code("RID49481", "RADLEX", "ACR Category 2 Actionable Finding"),
    3: Code("RID49482", "RADLEX", "ACR Category 3 Actionable Finding"),
}

# Sizes: CID 7469. A radiograph without calibration measures the shadow at its detector, larger than the finding.
AREA = Code("42798000", "SCT", "Area")
AREA_AT_DETECTOR = Code("AREA_DETECTOR", PRIVATE, "Area at detector")
VOLUME = Code("118565006", "SCT", "Volume")
LONG_AXIS = Code("103339001", "SCT", "Long axis")
SHORT_AXIS = Code("103340004", "SCT", "Short axis")
ATTENUATION = Code("112031", "DCM", "Attenuation Coefficient")
MEAN = Code("373098007", "SCT", "Mean")  # CID 7464
MILLIMETRE = Code("mm", "UCUM", "millimeter")
HOUNSFIELD = Code("[hnsf'U]", "UCUM", "Hounsfield unit")
PERCENT = Code("%", "UCUM", "Percent")
SQUARE_MILLIMETRE = Code("mm2", "UCUM", "square millimeter")
CUBIC_MILLIMETRE = Code("mm3", "UCUM", "cubic millimeter")

AT_LEAST = Code("GRADE_AT_LEAST", PRIVATE, "Probability of this grade or a higher one")
THRESHOLD = Code("OPERATING_POINT", PRIVATE, "Threshold")

# A site with a side, where the side is known: CID 4031
LATERAL_SITES = {
    ("39607008", "right"): Code("3341006", "SCT", "Right lung"),
    ("39607008", "left"): Code("44029006", "SCT", "Left lung"),
}

# Beside a site that has none with its side: CID 244; within a lung: CID 2, which has no "middle"
SIDES = {"right": Code("24028007", "SCT", "Right"), "left": Code("7771000", "SCT", "Left")}
HEIGHTS = {"upper": Code("264217000", "SCT", "Superior"), "lower": Code("261089000", "SCT", "Inferior")}
PLEURA = "3120008"
IN_ZONES = frozenset({PLEURA, "39607008", *(code.value for code in LATERAL_SITES.values())})


def coded(code: Code) -> Any:
    """As highdicom wants it."""
    return hd.sr.CodedConcept(code.value, code.scheme, code.meaning)


def likelihood(label: Label, quantity: str) -> Code:
    """Name of a label's probability or score, for example "Pneumothorax probability".

    A concept for each label, since viewers show a number with its concept's name and nothing else.
    """
    meaning = f"{label.title} {quantity}"
    letters = "".join(letter for letter in label.name.upper() if letter.isascii() and letter.isalnum())
    if len(letters) > 13:  # Code Value is SH: 16 characters
        letters = letters[:7] + hashlib.sha256(label.name.encode()).hexdigest()[:6].upper()
    return Code(f"{quantity[0].upper()}_{letters}", PRIVATE, meaning[:64])


def site(code: Code, side: str | None) -> Code:
    """The site with its side where both are known, else as it is."""
    return LATERAL_SITES.get((code.value, side or ""), code)


def finding_site(code: Code, across: str, zone: str) -> Any:
    """A Finding Site of TID 1410 or 1411 with Laterality (272741003) and Topographical Modifier (106233006).

    A site whose code has its side already ("Right lung") gets no Laterality, and one without a side (heart) none of
    the region that lies in it; a zone is said of lung and pleura alone.
    """
    side = SIDES.get(across) if code.value == PLEURA else None
    height = HEIGHTS.get(zone) if code.value in IN_ZONES else None
    return hd.sr.FindingSite(coded(code), coded(side) if side else None, coded(height) if height else None)


def cielab(colour: tuple[int, int, int]) -> Any:
    """Red, green, blue (0..255, sRGB) as CIELab, for Recommended Display CIELab Value (0062,000D)."""
    return hd.color.CIELabColor.from_rgb(*colour)


def scheme_identification() -> Dataset:
    """Item of the Coding Scheme Identification Sequence (0008,0110) for our private scheme, PS3.3 C.12.1.1.7."""
    item = Dataset()
    item.CodingSchemeDesignator = PRIVATE
    item.CodingSchemeName = "ReadFirst private concepts"
    item.CodingSchemeResponsibleOrganization = "ReadFirst"
    return item
