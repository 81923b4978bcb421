"""Creates, blocks, unblocks and deletes the accounts of registers, one or thousands.

Many at a time are a job in the queue. It may be killed at any moment and is then taken up again;
an account whose secret got lost on the way is deleted and made anew, since nobody can use it.
"""

from typing import Any

from django.db import transaction

from transfer.bonus_api.client import BonusApi
from transfer.bonus_api.errors import RegisterUnknown
from transfer.models import AccountJob, Actor, AuditEntry, IssuedSecret, RegisterAccount
from transfer.models.servers import BonusServer
from transfer.servers.account_job import settle

Action = AccountJob.Action


def order(
    server: BonusServer, action: Action, registers: Any, actor: Actor, reason: str = ""
) -> AccountJob:
    """Notes the job and puts it into the queue."""
    with transaction.atomic():
        job = AccountJob.order(server, action, registers, actor, reason)
        job.enqueue()
    return job


def change_one(account: RegisterAccount, action: Action, actor: Actor, reason: str = "") -> None:
    """Blocks, unblocks or deletes one account while somebody waits. Raises ApiError."""
    code = account.register.code
    old = {"blocked": account.blocked, "login": account.login}
    with BonusApi(account.server.endpoint) as api:
        try:
            if action == Action.DELETE:
                api.delete(code)
                account.became_none()
            else:
                settle(account, api.set_blocked(code, action == Action.BLOCK))
                if action == Action.BLOCK:
                    account.note_block(actor.name, reason)
        except RegisterUnknown:
            account.became_none()
            if action != Action.DELETE:
                account.save(update_fields=RegisterAccount.OUTCOME)
                raise
    with transaction.atomic():
        account.save(update_fields=RegisterAccount.OUTCOME)
        if account.state != RegisterAccount.State.CREATED:
            IssuedSecret.objects.filter(account=account).delete()
        if action == Action.DELETE:
            AuditEntry.record(actor, AuditEntry.Action.DELETE, account, old=old)
        else:
            old, new = {"blocked": old["blocked"]}, {"blocked": account.blocked}
            change = AuditEntry.Action.CHANGE
            AuditEntry.record(actor, change, account, old=old, new=new, reason=reason)
