"""Which SOP classes and transfer syntaxes the node offers and accepts, as tables."""

from __future__ import annotations

from pydicom.uid import (
    UID,
    AllTransferSyntaxes,
    BasicTextSRStorage,
    Comprehensive3DSRStorage,
    ComprehensiveSRStorage,
    EncapsulatedPDFStorage,
    ExplicitVRLittleEndian,
    GrayscaleSoftcopyPresentationStateStorage,
    ImplicitVRLittleEndian,
    KeyObjectSelectionDocumentStorage,
    ParametricMapStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)
from pynetdicom import build_context
from pynetdicom.presentation import AllStoragePresentationContexts, PresentationContext
from pynetdicom.sop_class import (
    StorageCommitmentPushModel,
    StudyRootQueryRetrieveInformationModelFind,
    Verification,
)

# Syntaxes whose pixels are not in the Data Set (PS3.5 A.6, A.7; PS3.22): what is not sent cannot be kept.
_PIXELS_ELSEWHERE = ("1.2.840.10008.1.2.4.204", "1.2.840.10008.1.2.4.205", "1.2.840.10008.1.2.7.")
# Newer than pydicom's list (PS3.5 10.x): JPEG XL (three), Deflated Image Frame. Kept as sent like all others.
_NEWER = ("1.2.840.10008.1.2.4.110", "1.2.840.10008.1.2.4.111", "1.2.840.10008.1.2.4.112", "1.2.840.10008.1.2.8.1")

KEPT_TRANSFER_SYNTAXES: tuple[UID, ...] = (
    *(uid for uid in AllTransferSyntaxes if not uid.startswith(_PIXELS_ELSEWHERE)),
    *map(UID, _NEWER),
)
STORAGE_SOP_CLASSES: tuple[UID, ...] = tuple(
    UID(context.abstract_syntax) for context in AllStoragePresentationContexts if context.abstract_syntax
)
PLAIN_TRANSFER_SYNTAXES: tuple[UID, ...] = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)

# What the node sends as SCU: results (PS3.4 B.5) and queries about the study (PS3.4 C.6.2).
# workers/delivery/viewers has the profile by which a peer receives which.
RESULT_SOP_CLASSES: tuple[UID, ...] = (
    SegmentationStorage,
    Comprehensive3DSRStorage,
    ComprehensiveSRStorage,
    BasicTextSRStorage,
    SecondaryCaptureImageStorage,
    KeyObjectSelectionDocumentStorage,
    GrayscaleSoftcopyPresentationStateStorage,
    ParametricMapStorage,
    EncapsulatedPDFStorage,
)
QUERY_SOP_CLASSES: tuple[UID, ...] = (UID(StudyRootQueryRetrieveInformationModelFind),)
# In both roles, whoever opens the association (PS3.4 Annex J).
COMMITMENT_SOP_CLASSES: tuple[UID, ...] = (UID(StorageCommitmentPushModel),)


def scp_contexts() -> list[PresentationContext]:
    """Everything the SCP accepts for C-ECHO and C-STORE."""
    return [
        build_context(Verification, list(PLAIN_TRANSFER_SYNTAXES)),
        *(build_context(uid, list(KEPT_TRANSFER_SYNTAXES)) for uid in STORAGE_SOP_CLASSES),
    ]
