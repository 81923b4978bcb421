/* What was typed into a form outlives a log-in, or an answer that nothing was done.

   When a form is sent, its values stay in this tab. A page without a user (the log-in, or an error)
   shows that the form may not have counted. When the same user is on the form's page again, the
   values are filled in, and the page says so. Any other page of the user forgets them.
   Passwords, PIN codes and other secrets, files and hidden fields are never kept. */
(() => {
  "use strict";
  const KEY = "kept-form";
  const LONGEST = 200000; /* characters */
  const CAN_TICK = ["checkbox", "radio"];
  const NOT_KEPT = "[type=password], [type=file], [type=hidden], [type=submit], [data-secret]";

  const isOpen = () => document.body.dataset.user !== undefined;
  const here = () => location.pathname + location.search;
  const formsTo = (action) => [...document.forms].filter((form) => form.action === action);

  function fieldsOf(form) {
    return [...form.elements].filter((one) => one.name && "value" in one && !one.matches(NOT_KEPT));
  }

  function valuesOf(form) {
    return fieldsOf(form).map(({ name, type, value, checked }) =>
      CAN_TICK.includes(type) ? { name, value, checked } : { name, value },
    );
  }

  function keep(form) {
    const values = valuesOf(form);
    if (!isOpen() || form.method !== "post" || !values.length) return;
    const number = formsTo(form.action).indexOf(form);
    const kept = { user: document.body.dataset.user, page: here(), action: form.action, number, values };
    const text = JSON.stringify(kept);
    if (text.length < LONGEST) sessionStorage.setItem(KEY, text);
  }

  function fill(form, values) {
    const fields = fieldsOf(form);
    for (const { name, value, checked } of values) {
      const field = fields.find(
        (one) => one.name === name && (checked === undefined || one.value === value),
      );
      if (!field) continue;
      fields.splice(fields.indexOf(field), 1);
      if (checked === undefined) field.value = value;
      else field.checked = checked;
      field.dispatchEvent(new Event("change", { bubbles: true }));
    }
  }

  function look() {
    const kept = JSON.parse(sessionStorage.getItem(KEY));
    if (!kept) return;
    if (!isOpen()) {
      sessionStorage.setItem(KEY, JSON.stringify({ ...kept, isInterrupted: true }));
      return;
    }
    const isSame = kept.user === document.body.dataset.user;
    const isWaiting = kept.isInterrupted && isSame && kept.page !== here();
    if (isWaiting) return; /* such as the overview, on the way back to the form */
    sessionStorage.removeItem(KEY);
    const form = formsTo(kept.action)[kept.number];
    if (!kept.isInterrupted || !isSame || !form) return;
    fill(form, kept.values);
    document.getElementById("form-again").hidden = false;
  }

  document.addEventListener("submit", ({ target }) => keep(target));
  /* A button that htmx sends submits no form. */
  document.addEventListener("htmx:beforeRequest", ({ detail }) => {
    const form = detail.elt.closest("form");
    if (form && detail.requestConfig.verb === "post") keep(form);
  });
  document.addEventListener("DOMContentLoaded", look);
})();
