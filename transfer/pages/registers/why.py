"""The reason for a register's state: why, since when, by whom, and what to do."""

from django.utils.translation import gettext as _

from transfer.models import BonusServer, RegisterAccount
from transfer.models.accounts import AccountState
from transfer.text import formats
from transfer.text.explain import Explanation


def why(account: RegisterAccount | None, state: AccountState) -> Explanation | None:
    """Why the account is in its state; None if the register is on line."""
    if account is None or state == AccountState.NOT_CREATED:
        return Explanation(
            _("It has no account on this server: it can neither accrue nor redeem there."),
            _("Create one, and enter its login and password at the register."),
        )
    words_for = {
        AccountState.ERROR: _failed,
        AccountState.BLOCKED: _blocked,
        AccountState.OFFLINE: _offline,
        AccountState.NEVER_SEEN: _never_seen,
        AccountState.WAITING: _waiting,
    }
    words = words_for.get(state)
    return words(account) if words else None


# States whose reasons differ only in times and addresses.
ALIKE = (AccountState.OFFLINE, AccountState.NEVER_SEEN)


def why_on_several(state: AccountState, accounts: list[RegisterAccount]) -> Explanation | None:
    """Why accounts on several servers are in one of the states of ALIKE, said once for all."""
    if state == AccountState.NEVER_SEEN:
        return Explanation(
            _("It has never called these servers."),
            _(
                "Check their addresses on the register. Then its logins and passwords; if they "
                "are lost, an administrator can issue new ones."
            ),
        )
    last = max(account.last_seen for account in accounts if account.last_seen)
    words = {"when": formats.moment(last), "ago": formats.ago(last)}
    return Explanation(
        _("None of these servers has heard from it since %(when)s, %(ago)s.") % words,
        _(
            "Is it switched on, and is the shop connected? If so, check at the register whether "
            "it calls their addresses."
        ),
    )


def _failed(account: RegisterAccount) -> Explanation | None:
    cause, job = account.explained, account.job
    if cause is None or job is None:
        return cause
    ordered = _("Requested by %(who)s, %(when)s.") % {
        "when": formats.moment(job.created_at),
        "who": job.actor,
    }
    return Explanation(f"{cause.sentence} {ordered}", cause.hint)


def _blocked(account: RegisterAccount) -> Explanation:
    unblock = _("The server refuses it until somebody unblocks it.")
    if account.blocked_at is None:
        return Explanation(
            _("It was blocked, but not from here, and no reason was given."), unblock
        )
    words = {
        "when": formats.moment(account.blocked_at),
        "who": account.blocked_by or "—",
        "reason": account.block_reason,
    }
    return Explanation(_("Blocked %(when)s by %(who)s: %(reason)s") % words, unblock)


def _offline(account: RegisterAccount) -> Explanation:
    words = {"when": formats.moment(account.last_seen), "ago": formats.ago(account.last_seen)}
    return Explanation(
        _("The server has not heard from it since %(when)s, %(ago)s.") % words,
        _(
            "Is it switched on, and is the shop connected? If so, check at the register whether "
            "it calls %(address)s."
        )
        % {"address": address(account.server)},
    )


def _never_seen(account: RegisterAccount) -> Explanation:
    job = account.job
    words = {"when": formats.moment(account.created_at), "who": job.actor if job else ""}
    sentence = _("It has never called since its account was created, %(when)s.")
    if job is not None and job.creates:
        sentence = _("It has never called since %(who)s had its account created, %(when)s.")
    return Explanation(
        sentence % words,
        _(
            "Check the address on the register: %(address)s. Then its login and password; if "
            "they are lost, an administrator can issue new ones."
        )
        % {"address": address(account.server)},
    )


def _waiting(account: RegisterAccount) -> Explanation | None:
    job = account.job
    if job is None:
        return None
    words = {"when": formats.moment(job.created_at), "who": job.actor}
    return Explanation(
        _("Its account is being created: requested by %(who)s, %(when)s.") % words,
        _("It goes on by itself."),
    )


def address(server: BonusServer) -> str:
    """The address that registers call."""
    return f"{server.host}:{server.work_port}"
