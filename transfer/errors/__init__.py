"""What can go wrong, each with a stable code, one sentence and one hint.

The sentences are message ids of the translation catalogue. `text.explain` translates them; a run
saves the code and the parameters.
"""

from transfer.errors.answers import (
    AnswerInvalid,
    AnswerOverdue,
    AnswerTooLarge,
    ConnectionLost,
    IsReplica,
    QueryFailed,
    TooManyRows,
    TooSlow,
)
from transfer.errors.base import (
    Params,
    TransferError,
)
from transfer.errors.printable import (
    one_line,
    printable,
)
from transfer.errors.surroundings import (
    AddressInvalid,
    AddressRefused,
    AnotherProgram,
    CertificateEnds,
    PagesSilent,
    PagesStopped,
)
from transfer.errors.unreachable import (
    DatabaseMissing,
    HostSilent,
    HostUnknown,
    LoginRefused,
    PortClosed,
    TooManyConnections,
    Unreachable,
    WeakLogin,
    from_socket,
)
from transfer.errors.work import (
    AlreadyRunning,
    CopiedServerIsOn,
    Difference,
    FileRefused,
    PurgedMeanwhile,
    QueueStuck,
    RunTakenOver,
    StillQueued,
    StillRead,
)
from transfer.parties import gettext_noop

__all__ = [
    "AddressInvalid",
    "AddressRefused",
    "AlreadyRunning",
    "AnotherProgram",
    "AnswerInvalid",
    "AnswerOverdue",
    "AnswerTooLarge",
    "CertificateEnds",
    "ConnectionLost",
    "CopiedServerIsOn",
    "DatabaseMissing",
    "Difference",
    "FileRefused",
    "HostSilent",
    "HostUnknown",
    "IsReplica",
    "LoginRefused",
    "PagesSilent",
    "PagesStopped",
    "Params",
    "PortClosed",
    "PurgedMeanwhile",
    "QueryFailed",
    "QueueStuck",
    "RunTakenOver",
    "StillQueued",
    "StillRead",
    "TooManyConnections",
    "TooManyRows",
    "TooSlow",
    "TransferError",
    "Unreachable",
    "WeakLogin",
    "from_socket",
    "gettext_noop",
    "one_line",
    "printable",
]
