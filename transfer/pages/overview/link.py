"""The page that the link of a message opens: one button, which takes the problems of the message.

Nobody logs in. A GET changes nothing, since messengers and mail servers open links, too.
"""

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import translation
from django.views.decorators.cache import never_cache

from transfer.alerts import links
from transfer.errors import TransferError
from transfer.models import Actor
from transfer.pages.back import read_or_post
from transfer.problems import kinds
from transfer.text.explain import explain

TEMPLATE = "overview/take_by_link.html"


@login_not_required
@never_cache
@read_or_post
def take(request: HttpRequest, token: str) -> HttpResponse:
    try:
        if request.method == "POST":
            address, over = Actor.address_of(request), "over" in request.POST
            notice, is_done = links.take_by_link(token, address=address, over=over), True
        else:
            notice, is_done = links.message_of(token), False
    except TransferError as error:
        why = explain(error)
        return render(request, TEMPLATE, {"why": why}, status=error.cause.status)
    # The language that was chosen in this browser, else that of the message.
    chosen = settings.LANGUAGE_COOKIE_NAME in request.COOKIES
    language = translation.get_language() if chosen else notice.recipient.language
    with translation.override(language):
        listed = links.open_problems(notice)
        context = {
            "problems": [(one, [one], kinds.sentence(one.code, one.params)) for one in listed],
            "recipient": notice.recipient.name,
            "is_done": is_done,
            "are_taken": all(one.is_taken for one in listed),
        }
        return render(request, TEMPLATE, context)
