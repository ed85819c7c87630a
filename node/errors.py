"""The tree of errors. Each knows what a DICOM peer sees: its DIMSE status.

ReadFirstError
├── ConfigurationError              the start stops, the sentence names the key
├── Refused                         an instance that we do not keep
│   ├── NotUnderstood      0xC000   no UID, missing Study or Series UID, unreadable Data Set
│   ├── Mismatch           0xA900   the command and the Data Set name different instances
│   └── OutOfResources     0xA700   disk full, ledger unavailable; the sender may try again
├── PeerError                       a DICOM peer did not do what we asked
│   ├── NothingAccepted             it takes none of the SOP classes that were proposed
│   └── NotRecognized               it does not know our AE title
├── NotTaken                        a worklist sink did not take a notice; it is tried again
│   └── SinkUnreachable             nobody answers there: the others for it wait, too
├── NotAccepted                     a worklist sink refuses this notice; trying again would not help
├── QueueUnavailable                Redis cannot be reached; workers are notified later
├── UnreadableInstance              a file of an instance cannot be read; the others of its study can
└── AnalysisError                   this study cannot be analysed; the reason is shown to people
"""

from __future__ import annotations


class ReadFirstError(Exception):
    """Root of all errors that ReadFirst raises on purpose; its text is a sentence for the person who reads it."""

    status = 0xC000  # what the DIMSE peer sees, PS3.7 Annex C, PS3.4 Table B.2-1


class ConfigurationError(ReadFirstError):
    """The settings are wrong; nothing was started."""


class Refused(ReadFirstError):
    """An instance was not kept; `status` is the standard's reason (PS3.4 Table B.2-1)."""


class NotUnderstood(Refused):
    """The Data Set or a UID in it cannot be understood."""

    status = 0xC000


class Mismatch(Refused):
    """Command and Data Set name different SOP Classes or Instances."""

    status = 0xA900


class OutOfResources(Refused):
    """Disk, ledger or memory are exhausted; the same instance may be sent again later."""

    status = 0xA700


class PeerError(ReadFirstError):
    """A peer was unreachable, rejected the association or answered with a failure status; it is tried again."""


class NothingAccepted(PeerError):
    """A peer answered, and took none of the SOP classes that were proposed."""


class NotRecognized(PeerError):
    """A peer answered, and rejected the association for our AE title."""


class NotTaken(ReadFirstError):
    """A worklist sink did not take a notice; it is tried again. The text quotes nothing of the peer's answer."""


class SinkUnreachable(NotTaken):
    """Nobody answers where the sink should be."""


class NotAccepted(ReadFirstError):
    """A worklist sink refuses this notice as it is; it is shown to people and not sent again by itself."""


class QueueUnavailable(ReadFirstError):
    """The message queue cannot be reached; nothing is lost, the ledger sends again."""


class UnreadableInstance(ReadFirstError):
    """A file of an instance is missing or cannot be read as DICOM."""


class AnalysisError(ReadFirstError):
    """This study, series or instance cannot be analysed; the text is the reason that people read."""
