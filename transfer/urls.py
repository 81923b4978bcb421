from transfer.pages.account.urls import urlpatterns as account
from transfer.pages.audit.urls import urlpatterns as audit
from transfer.pages.history.urls import urlpatterns as history
from transfer.pages.load.urls import urlpatterns as load
from transfer.pages.monitoring.urls import urlpatterns as monitoring
from transfer.pages.notifications.urls import urlpatterns as notifications
from transfer.pages.overview.urls import urlpatterns as overview
from transfer.pages.registers.urls import urlpatterns as registers
from transfer.pages.rejects.urls import urlpatterns as rejects
from transfer.pages.scheduler.urls import urlpatterns as scheduler
from transfer.pages.servers.urls import urlpatterns as servers
from transfer.pages.settings.urls import urlpatterns as settings
from transfer.pages.trace.urls import urlpatterns as trace
from transfer.pages.users.urls import urlpatterns as users

urlpatterns = [
    *overview,
    *scheduler,
    *servers,
    *registers,
    *history,
    *rejects,
    *load,
    *trace,
    *settings,
    *audit,
    *users,
    *account,
    *notifications,
    *monitoring,
]
