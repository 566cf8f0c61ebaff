// The rule editor: round trips without a new page, and a search while one types. Every button posts by itself without.
"use strict";

(() => {
  document.documentElement.classList.add("scripted");
  const editor = () => document.getElementById("editor");
  const state = (form, button) => {
    const fields = new FormData(form);
    if (button) fields.append("action", button);
    return new URLSearchParams(fields);
  };

  // One round trip at a time; what somebody typed meanwhile is sent again, so that nothing is lost.
  let busy = false;
  let next = null;
  // A field that goes with its page is left by nobody, though browsers say so.
  let replacing = false;

  async function trip(action) {
    if (busy) {
      next = action;
      return;
    }
    busy = true;
    try {
      for (let again = true; again; ) {
        const form = editor();
        const sent = state(form, action);
        // Asked as htmx asks: who is signed out is told so by a 401. A redirect would be followed, and where somebody signs
        // in at that moment it ends at another page, which would take the place of what is written here.
        const answer = await fetch(form.getAttribute("action"), { method: "POST", body: sent, headers: { "HX-Request": "true" } });
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        const fresh = page.getElementById("editor");
        if (!fresh) {
          if (answer.redirected) window.location.assign(answer.url);
          else tell(answer.status === 401 ? signedOut() : `The node answers ${answer.status}. What you wrote is still here.`);
          return;
        }
        again = state(editor(), action).toString() !== sent.toString();
        if (!again) replace(fresh, action);
      }
    } catch {
      tell("The node does not answer. What you wrote is still here: try again.");
    } finally {
      busy = false;
      if (next) {
        const onward = next;
        next = null;
        trip(onward);
      }
    }
  }

  // What went wrong, seen as well as heard; the next round trip that comes back takes it away.
  function tell(...words) {
    const told = document.getElementById("told");
    told.className = "notice bad";
    told.replaceChildren(...words);
  }

  // The session is over. A sign-in in another tab carries this page on: nothing that was typed is lost.
  function signedOut() {
    const words = document.createElement("span");
    const link = document.createElement("a");
    link.href = "/sign-in";
    link.target = "_blank";
    link.textContent = "Sign in in another tab";
    words.append("You are signed out. What you wrote is still here. ", link, ", then go on here.");
    return words;
  }

  function replace(fresh, action) {
    const before = document.activeElement?.id;
    const caret = document.activeElement?.selectionStart;
    const open = new Set([...editor().querySelectorAll("details[id][open]")].map((each) => each.id));
    replacing = true;
    editor().replaceWith(document.adoptNode(fresh));
    replacing = false;
    for (const id of open) document.getElementById(id)?.setAttribute("open", "");
    prepare();
    const asked = action === "check" || action === "save";
    const wanted = asked ? fresh.querySelector(".notice") : document.getElementById(fresh.dataset.focus);
    if (asked) wanted?.setAttribute("tabindex", "-1");
    const goal = wanted ?? (before && document.getElementById(before)) ?? null;
    goal?.focus();
    if (goal?.id === before && typeof caret === "number" && goal.setSelectionRange) goal.setSelectionRange(caret, caret);
    const done = { add: "Condition added.", group: "Group added.", remove: "Removed.", up: "Moved up.", down: "Moved down.", wrap: "Grouped.", unwrap: "Ungrouped." };
    document.getElementById("told").textContent = done[action.split(":")[0]] ?? "";
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("#editor button[data-live]");
    if (!button) return;
    event.preventDefault();
    trip(button.value);
  });

  // A choice changes with every letter that is typed into it: it is settled when one rests, or leaves.
  const REST = 400;
  let resting = 0;
  const settle = (delay) => {
    clearTimeout(resting);
    resting = setTimeout(() => {
      resting = 0;
      trip("refresh");
    }, delay);
  };
  const isChoice = (event) => event.target.matches?.("#editor [data-refresh]");

  document.addEventListener("change", (event) => {
    if (isChoice(event)) settle(REST);
  });
  document.addEventListener("keydown", (event) => {
    if (resting && isChoice(event) && event.key !== "Tab") settle(REST);
  });
  document.addEventListener("focusout", (event) => {
    if (resting && !replacing && isChoice(event)) settle(0);
  });

  // Typing into the last of several values makes room for another.
  document.addEventListener("change", (event) => {
    if (event.target.matches("#editor [data-another]") && event.target.value.trim()) trip("refresh");
  });

  // The search: a combobox with a list box, after the ARIA Authoring Practices (editable, list autocomplete, manual).
  function combobox(input) {
    const list = document.createElement("ul");
    list.id = `${input.id}-options`;
    list.className = "listbox";
    list.setAttribute("role", "listbox");
    list.setAttribute("aria-label", "Attributes and facts");
    list.hidden = true;
    input.after(list);
    input.removeAttribute("list");
    input.setAttribute("role", "combobox");
    input.setAttribute("aria-autocomplete", "list");
    input.setAttribute("aria-expanded", "false");
    input.setAttribute("aria-controls", list.id);
    let chosen = -1;
    let asked = 0;
    let timer = 0;
    const known = input.value;

    const close = () => {
      clearTimeout(timer);
      asked += 1;
      list.hidden = true;
      chosen = -1;
      input.setAttribute("aria-expanded", "false");
      input.removeAttribute("aria-activedescendant");
    };

    const mark = (index) => {
      chosen = index;
      [...list.children].forEach((each, at) => each.setAttribute("aria-selected", String(at === index)));
      const option = list.children[index];
      if (!option) return input.removeAttribute("aria-activedescendant");
      input.setAttribute("aria-activedescendant", option.id);
      option.scrollIntoView({ block: "nearest" });
    };

    const take = (option) => {
      input.value = option.dataset.value;
      const creator = input.name.replace(/attribute$/, "creator");
      const field = document.getElementById(creator) ?? document.createElement("input");
      field.type = field.isConnected ? "text" : "hidden";
      field.name = creator;
      field.value = option.dataset.creator;
      if (!field.isConnected) input.after(field);
      close();
      trip("refresh");
    };

    async function search() {
      const mine = ++asked;
      let found;
      try {
        const answer = await fetch(`${input.dataset.search}?q=${encodeURIComponent(input.value)}`);
        found = answer.ok ? await answer.json() : [];
      } catch {
        return;
      }
      if (mine !== asked || document.activeElement !== input) return;
      list.replaceChildren(...found.map((each, at) => {
        const option = document.createElement("li");
        option.id = `${list.id}-${at}`;
        option.dataset.value = each.name;
        option.dataset.creator = each.creator;
        option.setAttribute("role", "option");
        const words = document.createElement("span");
        words.textContent = each.words;
        option.append(each.name, words);
        return option;
      }));
      list.hidden = found.length === 0;
      input.setAttribute("aria-expanded", String(found.length > 0));
      mark(-1);
    }

    input.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(search, 120);
    });
    input.addEventListener("keydown", async (event) => {
      const open = !list.hidden;
      const last = list.children.length - 1;
      if (event.key === "ArrowDown" || event.key === "ArrowUp") {
        event.preventDefault();
        if (!open) await search();
        else mark(event.key === "ArrowDown" ? (chosen === last ? 0 : chosen + 1) : chosen <= 0 ? last : chosen - 1);
      } else if (event.key === "Escape" && open) {
        event.preventDefault();
        close();
      } else if (event.key === "Enter" && open && chosen >= 0) {
        event.preventDefault();
        take(list.children[chosen]);
      } else if (event.key === "Tab") {
        if (open && chosen >= 0) take(list.children[chosen]);
        close();
      }
    });
    input.addEventListener("blur", () => {
      close();
      if (!replacing && input.value !== known) setTimeout(() => trip("refresh"));
    });
    list.addEventListener("mousedown", (event) => {
      event.preventDefault();
      const option = event.target.closest("li");
      if (option) take(option);
    });
  }

  function prepare() {
    for (const input of editor()?.querySelectorAll("input[data-search]") ?? []) combobox(input);
  }

  prepare();
  const first = editor()?.dataset.focus;
  if (first) document.getElementById(first)?.focus();
})();
