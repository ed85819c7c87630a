"""What a model may see: studies of headers, each with the outcome that a radiologist would expect."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import (
    ComprehensiveSRStorage,
    DigitalXRayImageStorageForProcessing,
    EncapsulatedPDFStorage,
    GrayscaleSoftcopyPresentationStateStorage,
    KeyObjectSelectionDocumentStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
    XRayRadiationDoseSRStorage,
)

from tests.workers.imaging_phantoms import CHEST_CT, CHEST_XRAY, ct_series, pydicom_file, radiograph, sample
from workers.dicom.attributes import header
from workers.inputs.choose import choose
from workers.inputs.views import view_in

LARGE = np.zeros((300, 260), np.uint8)


def code(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def maker(name: str, versions: Sequence[str] = ()) -> Dataset:
    item = Dataset()
    item.Manufacturer, item.SoftwareVersions = name, list(versions)
    return item


def reason(dataset: Dataset, rules=CHEST_XRAY) -> str | None:
    """Why the one image of a study is not analysed; None where it is."""
    choice = choose([dataset], rules)
    if choice.targets:
        assert choice.left_out == ()
        return None
    ((uid, why),) = choice.left_out
    assert uid == dataset.SOPInstanceUID
    return why


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"ViewPosition": "AP"},
        {"Modality": "DX", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.1.1", "PresentationIntentType": "FOR PRESENTATION"},
        {"BodyPartExamined": "THORAX"},
        {"BodyPartExamined": "CHEST PA"},
        {"BodyPartExamined": "", "SeriesDescription": "Chest PA"},
        {"BodyPartExamined": "", "StudyDescription": "XR Thorax 2 views"},
        {"BodyPartExamined": None, "AnatomicRegionSequence": [code("51185008", "SCT", "Chest")]},
        {"ViewPosition": "", "ViewCodeSequence": [code("272479007", "SCT", "postero-anterior")]},
        {"ViewPosition": "", "SeriesDescription": "THORAX P-A, PA"},
        {"ViewPosition": "", "SeriesDescription": "CHEST PA AND LATERAL"},  # says nothing of this image
        {"ViewPosition": ""},  # unknown, but nothing speaks against it and it is the only one
        {"ImageType": ["DERIVED", "PRIMARY"]},
        {"PatientSpeciesDescription": "Homo sapiens"},
        {"PatientSpeciesCodeSequence": [code("337915000", "SCT", "Homo sapiens")]},
        {"ResponsiblePerson": "Doe^Jane", "ResponsiblePersonRole": "MOTHER"},
        {"StudyDescription": "CAT scan follow-up, porcine valve"},
        {"Manufacturer": "ACME"},
    ],
    ids=str,
)
def test_a_frontal_chest_radiograph_is_analysed(attributes):
    dataset = radiograph(LARGE, **attributes)
    (target,) = choose([dataset], CHEST_XRAY).targets
    assert target.kind == "image"
    assert target.sop_instance_uids == (dataset.SOPInstanceUID,)
    assert target.series_instance_uid == dataset.SeriesInstanceUID


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"ViewPosition": "LL"}, "lateral view"),
        ({"ViewPosition": "LATERAL"}, "lateral view"),
        ({"ViewPosition": "LLD"}, "decubitus view"),
        ({"ViewPosition": "RAO"}, "oblique view"),
        ({"ViewPosition": "XTABLE"}, "unknown (XTABLE) view"),
        ({"ViewPosition": "", "ViewCodeSequence": [code("399173006", "SCT", "left lateral")]}, "lateral view"),
        ({"ViewPosition": "", "PatientOrientation": ["A", "F"]}, "lateral view"),
        ({"ViewPosition": "", "SeriesDescription": "Thorax lat."}, "lateral view"),
        ({"SeriesDescription": "Thorax seitlich"}, "lateral view"),  # although View Position says PA
        ({"ViewPosition": "", "ProtocolName": "CHEST LAT DECUB"}, "decubitus view"),
        ({"BodyPartExamined": "HAND"}, "body part HAND"),
        ({"BodyPartExamined": "CHEST_ABDOMEN"}, "body part CHEST_ABDOMEN"),
        ({"BodyPartExamined": ""}, "body part unknown"),
        ({"BodyPartExamined": "", "SeriesDescription": "Knee AP"}, "body part KNEE"),
        ({"BodyPartExamined": None, "AnatomicRegionSequence": [code("85562004", "SCT", "Hand")]}, "body part HAND"),
        ({"Modality": "MR"}, "modality MR, the model reads CR and DX"),
        ({"Modality": "PT"}, "modality PT, the model reads CR and DX"),
        ({"Modality": "US"}, "modality US, the model reads CR and DX"),
        ({"Modality": None}, "modality unknown, the model reads CR and DX"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.12.1"}, "X-Ray Angiographic Image Storage is not read by this model"),
        ({"SOPClassUID": XRayRadiationDoseSRStorage}, "dose report"),
        ({"SOPClassUID": ComprehensiveSRStorage}, "structured report"),
        ({"SOPClassUID": KeyObjectSelectionDocumentStorage}, "key object selection"),
        ({"SOPClassUID": GrayscaleSoftcopyPresentationStateStorage}, "presentation state"),
        ({"SOPClassUID": SegmentationStorage}, "segmentation"),
        ({"SOPClassUID": EncapsulatedPDFStorage}, "encapsulated document"),
        ({"SOPClassUID": SecondaryCaptureImageStorage}, "secondary capture"),
        ({"SOPClassUID": DigitalXRayImageStorageForProcessing}, "unprocessed image (FOR PROCESSING)"),
        ({"PresentationIntentType": "FOR PROCESSING"}, "unprocessed image (FOR PROCESSING)"),
        ({"ImageType": ["DERIVED", "SECONDARY"]}, "derived secondary image, such as a screen capture"),
        ({"Manufacturer": "ReadFirst"}, "our own result"),
        ({"ContributingEquipmentSequence": [maker("ACME"), maker("ReadFirst")]}, "our own result"),
        ({"Manufacturer": "PACS", "SoftwareVersions": ["1.2.3", "ReadFirst 0.1.0"]}, "our own result"),
        ({"ContributingEquipmentSequence": [maker("PACS", ["1.2.3", "ReadFirst 0.1.0"])]}, "our own result"),
        ({"PatientSpeciesDescription": "Dog"}, "not a human (Patient Species DOG)"),
        (
            {"PatientSpeciesCodeSequence": [code("448771007", "SCT", "Canis lupus familiaris")]},
            "not a human (Patient Species CANIS LUPUS FAMILIARIS)",
        ),
        ({"PatientBreedDescription": "Poodle"}, "not a human (Patient Breed Description is given)"),
        ({"PatientSexNeutered": "ALTERED"}, "not a human (Patient's Sex Neutered is given)"),
        ({"ResponsiblePersonRole": "OWNER"}, "not a human (a breed or an owner is given)"),
        ({"SeriesDescription": "Feline thorax"}, "not a human (Series Description: FELINE)"),
        ({"InstitutionName": "Veterinary Clinic"}, "not a human (Institution Name: VETERINARY)"),
        (
            {"PerformedProtocolCodeSequence": [code("1", "L", "Equine chest")]},
            "not a human (Performed Protocol: EQUINE)",
        ),
        ({"Rows": 200}, "only 200 x 260 pixels, at least 256 x 256 are needed"),
        ({"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}, "colour image"),
        ({"NumberOfFrames": 3}, "image of several frames"),
        ({"Rows": None}, "only 0 x 260 pixels, at least 256 x 256 are needed"),
    ],
    ids=str,
)
def test_anything_else_is_left_out_with_its_reason(attributes, expected):
    assert reason(radiograph(LARGE, **attributes)) == expected


def test_of_a_pair_the_frontal_view_is_analysed_and_the_lateral_is_left_out():
    frontal, lateral = radiograph(LARGE), radiograph(LARGE, ViewPosition="LL")
    choice = choose([lateral, frontal], CHEST_XRAY)
    assert [target.sop_instance_uids for target in choice.targets] == [(frontal.SOPInstanceUID,)]
    assert choice.left_out == ((lateral.SOPInstanceUID, "lateral view"),)


def test_two_frontal_views_are_two_targets():
    pair = [radiograph(LARGE), radiograph(LARGE, ViewPosition="AP")]
    assert len(choose(pair, CHEST_XRAY).targets) == 2


def test_an_unknown_view_beside_another_is_left_out():
    unknown, frontal = radiograph(LARGE, ViewPosition=""), radiograph(LARGE)
    choice = choose([unknown, frontal], CHEST_XRAY)
    assert [target.sop_instance_uids for target in choice.targets] == [(frontal.SOPInstanceUID,)]
    assert "view unknown" in dict(choice.left_out)[unknown.SOPInstanceUID]
    beside_a_lateral = choose([unknown, radiograph(LARGE, ViewPosition="LL")], CHEST_XRAY)
    assert len(beside_a_lateral.targets) == 1


def test_no_rules_of_view_and_body_part_let_everything_of_the_modality_pass():
    rules = CHEST_XRAY.model_copy(update={"views": (), "body_parts": ()})
    assert reason(radiograph(LARGE, ViewPosition="LL", BodyPartExamined="HAND"), rules) is None


def test_a_reason_quotes_no_free_text():
    dataset = radiograph(LARGE, SeriesDescription="Canine thorax of Mrs Smith's Rex")
    assert reason(dataset) == "not a human (Series Description: CANINE)"


def test_an_empty_study_and_an_empty_header_are_no_error():
    assert choose([], CHEST_XRAY).targets == ()
    assert choose([], CHEST_CT) == choose([], CHEST_XRAY)
    assert reason_of_nothing() == "modality unknown, the model reads CR and DX"


def reason_of_nothing() -> str:
    dataset = Dataset()
    dataset.SOPInstanceUID = "1.2.3"
    return choose([dataset], CHEST_XRAY).left_out[0][1]


def test_a_ct_is_one_volume_in_the_order_of_its_places_and_no_image():
    series = ct_series([5, 4, 3, 2, 1, 0])
    (target,) = choose(series, CHEST_CT).targets
    assert target.kind == "volume"
    assert target.series_instance_uid == "1.2.3.4"
    assert target.sop_instance_uids == tuple(one.SOPInstanceUID for one in series[::-1])
    choice = choose(series, CHEST_XRAY)
    assert choice.targets == ()
    assert {why for _, why in choice.left_out} == {"modality CT, the model reads CR and DX"}
    assert len(choice.left_out) == 6


THIN, THICK = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9], [0, 2, 4, 6, 8]


@pytest.mark.parametrize(
    ("best", "other", "expected"),
    [
        (ct_series(THIN, "1.1"), ct_series(THICK, "1.2"), "its slices are 1.00 mm, not 2.00 mm apart"),
        (ct_series(THICK, "1.1"), ct_series([0, 0.5, 1, 1.5, 2], "1.2"), "it covers more of the patient"),
        (ct_series(THIN, "1.1"), ct_series(THIN[:9], "1.2"), "it has more slices"),
        (
            ct_series(THIN, "1.1", SeriesNumber=2),
            ct_series(THIN, "1.2", SeriesNumber=5),
            "it is alike and is the first",
        ),
        (
            ct_series(THICK, "1.1"),
            [
                one
                for index, one in enumerate(ct_series(THIN, "1.2", ImageOrientationPatient=[1, 0, 0, 0, 0, -1]))
                if not setattr(one, "ImagePositionPatient", [0, index, 0])
            ],
            "it is axial",
        ),
    ],
)
def test_of_several_series_the_best_is_chosen_and_the_others_know_why(best, other, expected):
    for study in (best + other, other + best):
        choice = choose(study, CHEST_CT)
        assert [target.series_instance_uid for target in choice.targets] == ["1.1"]
        assert {why for _, why in choice.left_out} == {f"another series was chosen: {expected}"}
        assert len(choice.left_out) == len(other)


def test_a_broken_series_gives_way_to_a_whole_one():
    broken, whole = ct_series([0, 1, 2, 5, 6, 7], "1.1"), ct_series(THICK, "1.2")
    choice = choose(broken + whole, CHEST_CT)
    assert [target.series_instance_uid for target in choice.targets] == ["1.2"]
    assert all("slices are missing between z = 2.0 mm and z = 5.0 mm" in why for _, why in choice.left_out)


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "localizer"),
        ({"ImageType": ["DERIVED", "SECONDARY", "AXIAL", "MIP"]}, "derived reconstruction (MIP)"),
        ({"ImageType": ["DERIVED", "PRIMARY", "MPR"]}, "derived reconstruction (MPR)"),
        ({"ImageType": ["DERIVED", "SECONDARY", "DOSE_INFO"]}, "derived secondary image, such as a screen capture"),
        ({"BodyPartExamined": "HEAD"}, "body part HEAD"),
        ({"BodyPartExamined": "", "SeriesDescription": "Brain 1 mm"}, "body part BRAIN"),
        ({"Modality": "PT"}, "modality PT, the model reads CT"),
        (
            {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.2.1"},
            "enhanced CT without functional groups",
        ),
    ],
    ids=str,
)
def test_slices_that_are_no_acquired_chest_ct_are_left_out(attributes, expected):
    choice = choose(ct_series(THIN, **attributes), CHEST_CT)
    assert choice.targets == ()
    assert {why for _, why in choice.left_out} == {expected}


@pytest.mark.parametrize("part", ["", "THORAX", "CHESTABDPELVIS", "CHEST_TO_PELVIS"])
def test_a_ct_of_more_than_the_chest_or_of_an_unknown_part_is_analysed(part):
    assert len(choose(ct_series(THIN, BodyPartExamined=part), CHEST_CT).targets) == 1


def test_the_localizer_of_a_chosen_series_is_left_out_alone():
    series = ct_series(THIN)
    localizer = ct_series([0], ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    choice = choose(localizer + series, CHEST_CT)
    assert choice.left_out == ((localizer[0].SOPInstanceUID, "localizer"),)
    assert len(choice.targets[0].sop_instance_uids) == 10


@pytest.mark.parametrize(
    ("phrase", "view"),
    [
        ("PA", "PA"),
        ("postero-anterior", "PA"),
        ("antero-posterior oblique", "oblique"),
        ("CHEST 2 VIEWS (PA,LAT)", None),
        ("latero-medial oblique", "oblique"),
        ("Laterality unknown", None),
        ("", None),
    ],
)
def test_a_phrase_names_a_view_only_as_a_whole_word(phrase, view):
    assert view_in(phrase) == view


@pytest.mark.parametrize("name", ["chest-xray-pneumothorax", "chest-xray-normal", "chest-xray-effusion"])
def test_the_sample_radiographs_are_analysed(name):
    assert reason(header(sample(name)[0])) is None


def test_the_sample_ct_is_analysed_whole():
    choice = choose([header(path) for path in sample("chest-ct")], CHEST_CT)
    assert [len(target.sop_instance_uids) for target in choice.targets] == [133]
    assert choice.left_out == ()


def test_the_dog_is_refused_as_a_dog_although_its_header_says_chest():
    dog = header(sample("dog")[0])
    assert reason(dog) == "not a human (Acquisition Device Processing Description: CANINE)"
    del dog.AcquisitionDeviceProcessingDescription, dog.PerformedProtocolCodeSequence
    assert reason(dog) == "not a human (Institution Name: VETERINARIAN)"
    del dog.InstitutionName
    assert reason(dog) == "only 169 x 211 pixels, at least 256 x 256 are needed"


def test_a_real_radiograph_of_a_chest_is_analysed_and_one_of_a_leg_is_not():
    assert reason(header(pydicom_file("RG1_UNCR.dcm"))) is None
    assert reason(header(pydicom_file("RG3_UNCR.dcm"))) is not None


def test_a_header_has_no_pixels_but_its_file_meta():
    found = header(sample("dog")[0])
    assert "PixelData" not in found
    assert found.file_meta.TransferSyntaxUID == dcmread(sample("dog")[0]).file_meta.TransferSyntaxUID
