// What pages do beyond their forms. Nothing here is needed: every form posts by itself.
"use strict";

(() => {
  const all = (root, selector) => [...root.querySelectorAll(selector)];

  // Rows that can be chosen: the box in the head of a table chooses all, and says when some are chosen.
  function tell(table) {
    const head = table?.querySelector("[data-choose-all]");
    if (!head) return;
    const boxes = all(table, "tbody .choose input");
    const chosen = boxes.filter((box) => box.checked).length;
    head.checked = chosen > 0 && chosen === boxes.length;
    head.indeterminate = chosen > 0 && chosen < boxes.length;
  }

  document.addEventListener("change", (event) => {
    const table = event.target.closest("table");
    if (event.target.matches("[data-choose-all]"))
      for (const box of all(table, "tbody .choose input")) box.checked = event.target.checked;
    if (event.target.closest(".choose")) tell(table);
  });

  // Questions before something is done.
  function dialog(content, label) {
    const shown = document.createElement("dialog");
    shown.setAttribute("aria-label", label);
    shown.append(content);
    document.body.append(shown);
    shown.addEventListener("close", () => shown.remove());
    shown.showModal();
    return shown;
  }

  function button(words, kind, type = "button") {
    const made = document.createElement("button");
    made.type = type;
    made.className = kind;
    made.textContent = words;
    return made;
  }

  function ask(question, words, danger) {
    return new Promise((answer) => {
      const content = document.createElement("form");
      content.method = "dialog";
      const text = document.createElement("p");
      text.textContent = question;
      const actions = document.createElement("div");
      actions.className = "actions";
      const no = button("Back", "", "submit");
      const yes = button(words, danger ? "danger" : "primary", "submit");
      no.value = "no";
      yes.value = "yes";
      actions.append(no, yes);
      content.append(text, actions);
      const shown = dialog(content, question);
      no.focus();
      shown.addEventListener("close", () => answer(shown.returnValue === "yes"));
    });
  }

  // `data-confirm` on a submit button; {count} stands for the rows chosen in its form.
  document.addEventListener("click", async (event) => {
    const asked = event.target.closest("button[data-confirm]");
    if (!asked || asked.dataset.confirmed === "yes") return;
    event.preventDefault();
    event.stopPropagation();
    const form = asked.form;
    if (form && !form.reportValidity()) return;
    const count = form ? all(form, ".choose input[name]:checked").length : 0;
    const question = asked.dataset.confirm.replace("{count}", count);
    if (!(await ask(question, asked.textContent.trim(), asked.matches(".danger")))) return asked.focus();
    asked.dataset.confirmed = "yes";
    asked.click();
    delete asked.dataset.confirmed;
  }, true);

  // <details class="confirm"> opens as a dialog: its form is lent to the dialog and given back.
  document.addEventListener("click", (event) => {
    const summary = event.target.closest("details.confirm > summary");
    if (!summary) return;
    event.preventDefault();
    const form = summary.parentElement.querySelector("form");
    const back = button("Back", "");
    form.querySelector(".actions").prepend(back);
    const shown = dialog(form, summary.textContent.trim());
    back.addEventListener("click", () => shown.close());
    shown.addEventListener("close", () => {
      back.remove();
      if (summary.isConnected) summary.parentElement.append(form);
      summary.focus();
    });
  });

  // <button data-open="ID"> opens that dialog; a button in it with data-close closes it.
  document.addEventListener("click", (event) => {
    const opener = event.target.closest("[data-open]");
    if (opener) document.getElementById(opener.dataset.open)?.showModal();
    const closer = event.target.closest("[data-close]");
    if (closer) closer.closest("dialog")?.close();
  });

  // What somebody did to a part of the page outlives its renewal: rows chosen, details opened, where the focus is.
  const kept = new WeakMap();
  const boxKey = (box) => `${box.name}\n${box.value}`;

  document.addEventListener("htmx:beforeSwap", (event) => {
    const target = event.detail.target;
    const inside = document.activeElement;
    if (isPoll(event.detail.requestConfig) && target.contains(inside) && inside.matches("input:not([type=checkbox]), select, textarea")) {
      event.detail.shouldSwap = false;
      return;
    }
    kept.set(event.detail.xhr, {
      boxes: new Set(all(target, "input[type=checkbox][name]:checked").map(boxKey)),
      details: new Set(all(target, "details[id][open]").map((each) => each.id)),
      focus: target.contains(inside) ? inside.id || inside.getAttribute("href") : null,
    });
  });

  document.addEventListener("htmx:afterSwap", (event) => {
    const was = kept.get(event.detail.xhr);
    const root = event.detail.target.isConnected ? event.detail.target : document;
    if (!was) return;
    if (was.boxes.size) for (const box of all(root, "input[type=checkbox][name]")) if (was.boxes.has(boxKey(box))) box.checked = true;
    for (const table of all(root, "table")) tell(table);
    for (const id of was.details) document.getElementById(id)?.setAttribute("open", "");
    if (was.focus) (document.getElementById(was.focus) ?? root.querySelector(`[href="${CSS.escape(was.focus)}"]`))?.focus({ preventScroll: true });
  });

  // Polling rests while nobody looks, and says so when the node does not answer.
  const isPoll = (config) => !config?.triggeringEvent && config?.verb === "get";
  let seen = new Date();

  // What the page asks by itself is nobody's activity: a session ends by idleness in spite of it.
  document.addEventListener("htmx:configRequest", (event) => {
    if (!event.detail.triggeringEvent && event.detail.verb === "get") event.detail.headers["X-Background"] = "1";
  });

  document.addEventListener("htmx:beforeRequest", (event) => {
    if (document.hidden && isPoll(event.detail.requestConfig)) event.preventDefault();
  });

  function offline(is) {
    const banner = document.getElementById("offline");
    if (!banner) return;
    if (!is) seen = new Date();
    document.getElementById("offline-since").textContent = seen.toLocaleTimeString();
    banner.hidden = !is;
  }
  document.addEventListener("htmx:sendError", () => offline(true));
  document.addEventListener("htmx:timeout", () => offline(true));
  document.addEventListener("htmx:responseError", (event) => offline(event.detail.xhr.status >= 500));
  document.addEventListener("htmx:beforeOnLoad", (event) => offline(event.detail.xhr.status >= 500));

  // A problem that comes back for a part of a page (422, 409) is shown like an answer.
  document.addEventListener("htmx:beforeSwap", (event) => {
    if ([409, 422].includes(event.detail.xhr.status) && event.detail.requestConfig.verb !== "get") event.detail.shouldSwap = true;
  });
})();
