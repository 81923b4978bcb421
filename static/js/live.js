/* Pages that refresh themselves. An element with data-poll="seconds" is loaded again by its
   hx-get, with hx-trigger="poll": after that many seconds, but not in a hidden tab, and not while
   the user types in it. The server sets the pace by the data-poll of its answer. Beside that, such
   a page asks every few seconds whether the server and its database answer, and says within ten
   seconds that it can't be refreshed. Without this file every page can still be read and reloaded. */
(() => {
  "use strict";
  const SLOWEST = 60;
  const CHECK_SECONDS = 5;
  const ANSWER_SECONDS = 4;
  let failures = 0;
  let refreshedAt = new Date();

  const timers = new WeakMap();

  function schedule(element) {
    const seconds = Number(element.dataset.poll);
    /* An element that waits keeps its time: otherwise a fast part would delay a slow one again
       and again. */
    if (!seconds || timers.has(element)) return;
    const wait = Math.min(seconds * 2 ** failures, Math.max(SLOWEST, seconds));
    timers.set(element, setTimeout(() => refresh(element), wait * 1000));
  }

  function refresh(element) {
    clearTimeout(timers.get(element));
    timers.delete(element);
    if (!element.isConnected || document.hidden) return;
    if (isBusy(element)) schedule(element);
    else htmx.trigger(element, "poll");
  }

  function isBusy(element) {
    const active = document.activeElement;
    return element.contains(active) && active.matches("input:not([type=checkbox]), select, textarea");
  }

  function scheduleAll() {
    document.querySelectorAll("[data-poll]").forEach(schedule);
  }

  function refreshAll() {
    if (!document.hidden) document.querySelectorAll("[data-poll]").forEach(refresh);
  }

  function failed(failure) {
    failures = failure ? Math.min(failures + 1, 5) : 0;
    if (!failure) refreshedAt = new Date();
    if (!failure || failures > 1) showOffline(failure);
  }

  function showOffline(isOffline) {
    const notice = document.getElementById("offline");
    const time = { timeStyle: "medium", timeZone: notice.dataset.zone };
    notice.querySelector(".num").textContent = refreshedAt.toLocaleTimeString(document.documentElement.lang, time);
    notice.hidden = !isOffline;
    document.body.classList.toggle("is-offline", isOffline);
  }

  async function isReachable() {
    const { check } = document.getElementById("offline").dataset;
    const options = { cache: "no-store", signal: AbortSignal.timeout(ANSWER_SECONDS * 1000) };
    const answer = await fetch(check, options).catch(() => null);
    return answer?.ok ?? false;
  }

  /* Parts are asked again as soon as the server is back, not only when their own time has come. */
  async function checkAgain() {
    if (!document.hidden && document.querySelector("[data-poll]")) {
      const wasOffline = document.body.classList.contains("is-offline");
      const isOffline = !(await isReachable());
      if (isOffline) showOffline(true);
      else if (wasOffline) refreshAll();
    }
    setTimeout(checkAgain, CHECK_SECONDS * 1000);
  }

  /* State that a swap would lose: folds that the user opened or closed, an open popover, the
     horizontal position of a table, unsent input, and the focus of an element without an id (htmx
     keeps it with one). */
  let kept = [];
  let popover = null;
  let focused = null;

  /* The place of an element: the element with an id around it, and in that its address or its
     number. */
  function placeOf(element) {
    const around = element.closest("[id]");
    const address = element.getAttribute("href");
    const alike = address ? `a[href="${CSS.escape(address)}"]` : element.localName;
    return { around: around.id, alike, at: [...around.querySelectorAll(alike)].indexOf(element) };
  }

  function focusAgain({ around, alike, at }) {
    const twin = document.getElementById(around)?.querySelectorAll(alike)[at];
    if (twin && document.activeElement === document.body) twin.focus({ preventScroll: true });
  }

  /* Whether the user opened or closed a fold, or is in it. With data-opened the server sent it
     open. */
  function isUsed(fold) {
    return fold.open !== ("opened" in fold.dataset) || fold.contains(document.activeElement);
  }

  function keep(target) {
    const within = (selector) => [...target.querySelectorAll(selector)];
    kept = [
      ...within("details[id]").filter(isUsed).map(({ id, open }) => [id, { open }]),
      ...within(".table-wrap[id]").map(({ id, scrollLeft }) => [id, { scrollLeft }]),
      ...within("input[id]:not([type=hidden])")
        .filter((one) => one.checked !== one.defaultChecked || one.value !== one.defaultValue)
        .map(({ id, type, checked, value }) => [id, type === "checkbox" ? { checked } : { value }]),
    ];
    popover = target.querySelector(":popover-open")?.id;
    const active = document.activeElement;
    focused = target.contains(active) && !active.id ? placeOf(active) : null;
  }

  function restore() {
    for (const [id, values] of kept) Object.assign(document.getElementById(id) ?? {}, values);
    kept = [];
    if (popover) {
      const source = document.querySelector(`[popovertarget="${CSS.escape(popover)}"]`);
      document.getElementById(popover)?.showPopover({ source });
    }
    popover = null;
    if (focused) focusAgain(focused);
    focused = null;
    announceProblems();
    showHelpers();
  }

  /* Folds that are in the address, as ?open=3,7, so that Back, a reload and a refresh know them. The
     lines of a fold come with the next refresh, which begins as soon as it is opened. One that the
     server opens (data-opened) needs no place there. */
  function nameFolds() {
    const folds = [...document.querySelectorAll("[data-fold]")];
    const open = folds.filter((one) => one.open && !("opened" in one.dataset));
    const url = new URL(location.href);
    url.searchParams.delete("open");
    const keys = open.map((one) => one.dataset.fold).join(",");
    if (keys) url.search += `${url.search ? "&" : "?"}open=${keys}`;
    if (url.href !== location.href) history.replaceState(history.state, "", url);
  }

  document.addEventListener(
    "toggle",
    ({ target }) => {
      if (!target.matches("[data-fold]")) return;
      nameFolds();
      const part = target.open && target.querySelector("[data-later]") && target.closest("[hx-get]");
      if (part) htmx.trigger(part, "unfold");
    },
    true,
  );

  /* The version of each part that is shown, by the part's id. A refresh names it, and the server
     answers 304 if nothing is new. */
  const versions = new Map();

  document.addEventListener("htmx:configRequest", ({ detail }) => {
    const { elt, headers, triggeringEvent } = detail;
    if (elt.querySelector("[data-fold]")) detail.path = location.pathname + location.search;
    if (triggeringEvent?.type === "unfold") headers["X-Unfolds"] = "true";
    else if (elt.matches("[data-poll]") && versions.has(elt.id))
      headers["If-None-Match"] = versions.get(elt.id);
  });

  function noteVersion({ requestConfig, xhr }) {
    const { elt } = requestConfig;
    const version = xhr.getResponseHeader("ETag");
    if (!elt.matches("[data-poll]")) versions.clear(); /* It may replace a part that has one. */
    else if (version && elt.id) versions.set(elt.id, version);
    else versions.delete(elt.id);
  }

  /* "5 minutes ago" goes on by itself, by the server's clock and in its words. */
  const UNITS = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];
  const JUST_NOW = 5;
  const TELL_SECONDS = 10;
  let ahead = 0; /* ms that the server's clock is ahead of the browser's */

  function tellAgo() {
    const { justNow } = document.getElementById("offline").dataset;
    const words = new Intl.RelativeTimeFormat(document.documentElement.lang);
    for (const one of document.querySelectorAll("time[data-ago]")) {
      const seconds = Math.trunc((Date.parse(one.dateTime) - Date.now() - ahead) / 1000);
      const [unit, size] = UNITS.find((unit) => Math.abs(seconds) >= unit[1]) ?? UNITS.at(-1);
      const isNow = Math.abs(seconds) < JUST_NOW;
      const text = isNow ? justNow : words.format(Math.trunc(seconds / size), unit);
      if (one.textContent !== text) one.textContent = text;
    }
  }

  document.addEventListener("DOMContentLoaded", () => {
    ahead = Date.parse(document.getElementById("offline").dataset.now) - Date.now();
    setInterval(tellAgo, TELL_SECONDS * 1000);
  });

  /* A screen reader hears of a new problem once: the list of problems is replaced at each refresh,
     so that it can't be a live region itself. */
  const MOST_ANNOUNCED = 3;
  let announced = null;

  function announceProblems() {
    const links = [...document.querySelectorAll("[data-problem]")];
    const fresh = links.filter((one) => announced && !announced.has(one.dataset.problem));
    announced = new Set(links.map((one) => one.dataset.problem));
    const heading = document.getElementById("problems");
    const said = heading && fresh.length > MOST_ANNOUNCED ? [heading] : fresh;
    if (!said.length) return;
    const words = said.map((one) => one.textContent.trim());
    document.getElementById("announced").textContent = words.join(". ");
  }

  /* Buttons that tick all boxes of a table, or copy: they need this script, which shows them. */
  function showHelpers() {
    for (const one of document.querySelectorAll("[data-choose-all], [data-copy]")) one.hidden = false;
    countChosen();
  }

  /* The boxes of the rows of a form. */
  const boxesOf = (id) => [...document.querySelectorAll(`.choose [form="${CSS.escape(id)}"]`)];

  /* The number of chosen rows: the ticked ones, or all that match the filter. */
  function countChosen() {
    for (const bulk of document.querySelectorAll("[data-bulk]")) {
      const matching = bulk.querySelector("[data-count]");
      const ticked = boxesOf(bulk.dataset.bulk).filter((one) => one.checked).length;
      const count = matching?.checked ? Number(matching.dataset.count) : ticked;
      const shown = String(count).replace(/\B(?=(\d{3})+$)/g, "\u202f");
      bulk.querySelector(".chosen").textContent = shown;
      for (const button of bulk.querySelectorAll("[type=submit]")) button.disabled = !count;
    }
  }

  /* Copies a text. Without HTTPS a browser copies only a selection. */
  function copy(text) {
    if (navigator.clipboard) return navigator.clipboard.writeText(text);
    const field = document.createElement("textarea");
    field.value = text;
    document.body.append(field);
    field.select();
    document.execCommand("copy");
    field.remove();
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    copy(button.dataset.copy);
    button.classList.add("done");
    button.focus();
  });

  document.addEventListener("DOMContentLoaded", showHelpers);
  document.addEventListener("DOMContentLoaded", announceProblems);
  window.addEventListener("pageshow", countChosen); /* After Back the browser has ticked boxes
                                                       again. */
  document.addEventListener("change", countChosen);
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-choose-all]");
    if (!button) return;
    const boxes = boxesOf(button.dataset.chooseAll);
    const tick = boxes.some((one) => !one.checked);
    for (const one of boxes) one.checked = tick;
    countChosen();
  });

  document.addEventListener("htmx:beforeSwap", (event) => {
    const { xhr, pathInfo, target } = event.detail;
    const answered = xhr.responseURL && new URL(xhr.responseURL).pathname;
    const asked = new URL(pathInfo.requestPath, location.href).pathname;
    /* After a redirect, as to the log-in page, the answer is a page, not a part of this one. */
    if (answered && answered !== asked && event.detail.requestConfig.verb === "get") {
      event.detail.shouldSwap = false;
      location.reload();
      return;
    }
    if (xhr.status === 304) {
      event.detail.shouldSwap = false;
      return;
    }
    noteVersion(event.detail);
    keep(target);
  });
  document.addEventListener("htmx:afterSwap", restore);
  document.addEventListener("htmx:afterRequest", (event) => {
    /* Not detail.elt: after a swap htmx names the parent there. */
    const { elt: asker, triggeringEvent } = event.detail.requestConfig;
    if (asker.matches("[data-poll]")) failed(!event.detail.successful);
    if (asker.id === "filter" && PHONE.matches) fold(asker, triggeringEvent.target);
    scheduleAll();
  });

  /* On a phone a filter folds again after its use, unless the user is in another of its fields. */
  const PHONE = matchMedia("(max-width: 40rem)");

  function fold(form, used) {
    const active = document.activeElement;
    const isWithin = form.contains(active);
    if (isWithin && active !== used) return;
    const details = form.closest("details");
    details.open = false;
    if (isWithin) details.querySelector("summary").focus();
  }

  document.addEventListener("visibilitychange", refreshAll);
  document.addEventListener("DOMContentLoaded", scheduleAll);
  document.addEventListener("DOMContentLoaded", () => setTimeout(checkAgain, CHECK_SECONDS * 1000));

  /* The key / moves to the search, unless the user is typing. */
  document.addEventListener("keydown", (event) => {
    const typing = event.target.matches("input:not([type=checkbox], [type=radio]), select, textarea");
    if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
    const box = document.querySelector(".side [name=q]");
    if (!box.checkVisibility()) return;
    event.preventDefault();
    box.select();
  });

  /* The progress of an upload. Without a script the browser shows it. */
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!form.matches("[data-sends]")) return;
    event.preventDefault();
    const shown = form.querySelector(".sending");
    const broken = form.querySelector(".not-sent");
    const show = (isSending) => {
      shown.hidden = !isSending;
      for (const button of form.querySelectorAll("[type=submit]")) button.disabled = isSending;
    };
    show(true);
    broken.hidden = true;
    const request = new XMLHttpRequest();
    request.upload.addEventListener("progress", ({ loaded, total }) => {
      shown.querySelector("progress").value = loaded / total;
      shown.querySelector(".num").textContent = `${Math.floor((100 * loaded) / total)} %`;
    });
    request.addEventListener("load", () => {
      /* The server redirects to the file's page, or answers with a page that says what is wrong. */
      if (request.status < 400) location.assign(request.responseURL);
      else showPage(request.responseText);
    });
    request.addEventListener("error", () => {
      show(false);
      broken.hidden = false;
    });
    request.open("POST", form.action);
    request.send(new FormData(form));
  });

  /* An error that answers a button is a page of its own: htmx would not show it. */
  document.addEventListener("htmx:responseError", ({ detail }) => {
    if (detail.requestConfig.verb === "post") showPage(detail.xhr.responseText);
  });

  /* Shows an answer as the browser would. Sending the form again would send the file twice. */
  function showPage(html) {
    document.open();
    document.write(html);
    document.close();
  }

  /* On paper: when it was printed. */
  window.addEventListener("beforeprint", () => {
    const when = { dateStyle: "medium", timeStyle: "medium", timeZone: document.getElementById("offline").dataset.zone };
    const now = new Date().toLocaleString(document.documentElement.lang, when);
    document.getElementById("printed").textContent = now;
  });

  /* A click outside of an element that unfolds over the page, or Escape, closes it. */
  const UNFOLDED = "details:is(.menu, .drop, .folded-filter)[open]";
  document.addEventListener("click", (event) => {
    for (const menu of document.querySelectorAll(UNFOLDED)) menu.open = menu.contains(event.target);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    for (const menu of document.querySelectorAll(UNFOLDED)) {
      menu.open = false;
      menu.querySelector("summary").focus();
    }
  });
})();
