// What a page gains with JavaScript: live updates that Back can undo, models found while typing, copying, opening a
// config.json.
// Everything works without it. Listeners sit on the document, since htmx replaces what is in it.
(() => {
  "use strict";

  const page = document.documentElement;
  page.classList.add("has-js");

  const notice = (kind) => {
    const box = document.getElementById("notice");
    if (!box) return;
    box.hidden = !kind;
    box.textContent = kind ? box.dataset[kind] : "";
  };

  // Several fields may share a name, and a blank one takes none of the others along.
  const dropBlanks = (data) => {
    for (const name of new Set(data.keys())) {
      const said = data.getAll(name).filter((value) => value instanceof File || value.trim() !== "");
      data.delete(name);
      for (const value of said) data.append(name, value);
    }
  };

  // 422 is an answer: the same page, saying what to put right.
  const answered = (ctx) => ctx?.response?.status < 400 || ctx?.response?.status === 422;

  // Live updates -----------------------------------------------------------------------------------------------------

  let lastTyped = null; // the field whose typing made the newest history entry
  let focusNext = null; // the id to focus when a followed link has vanished with the swap

  let pasted = null; // the field that a whole file was pasted into

  let busy = null; // the question that is being answered

  const isForm = (element) => element?.id === "plan-form";

  document.addEventListener("htmx:config:request", (event) => {
    const { ctx } = event.detail;
    focusNext = ctx.sourceElement.dataset?.focus ?? null;
    if (!isForm(ctx.sourceElement)) {
      lastTyped = null;
      return;
    }
    const field = ctx.sourceEvent.target;
    const typing = ctx.sourceEvent.type === "input";
    if (typing && field.dataset?.live === "change") {
      event.preventDefault();
      return;
    }
    dropBlanks(ctx.request.body);
    const query = new URLSearchParams(ctx.request.body).toString();
    const submitted = ctx.sourceEvent.type === "submit";
    if (!submitted && query === new URLSearchParams(location.search).toString()) {
      event.preventDefault();
      return;
    }
    // Servers refuse an address of more than 64 KiB before anything can be said about it.
    if (query.length > 60_000) {
      event.preventDefault();
      notice("long");
      return;
    }
    // The first keystroke in a field is a step that Back undoes, the next ones belong to it.
    if (typing && lastTyped === field.name) {
      ctx.push = null;
      ctx.replace = "true";
    }
    // One request at a time for one question: a second press of the button is not a second one.
    if (busy?.query === query) {
      event.preventDefault();
      return;
    }
    busy = { query, ctx };
    document.getElementById("result")?.setAttribute("aria-busy", "true");
    lastTyped = typing ? field.name : null;
  });
  document.addEventListener("htmx:finally:request", (event) => {
    if (event.detail.ctx !== busy?.ctx) return; // an older one, put aside for the newest
    busy = null;
    document.getElementById("result")?.removeAttribute("aria-busy");
  });

  // A file that is pasted is whole: nobody has to leave the field for it to count.
  document.addEventListener("paste", (event) => {
    const field = event.target;
    if (!isForm(field.form) || !field.matches("textarea[data-live=change]") || field.value.trim()) return;
    setTimeout(() => {
      pasted = field;
      field.dispatchEvent(new Event("change", { bubbles: true }));
    });
  });

  // Of a config.json, what is long does not shape the model: names of modules left unquantised, tables of labels.
  const shorten = (text) => {
    if (text.length < 12_000) return text;
    try {
      return JSON.stringify(JSON.parse(text), (key, value) => {
        const names = Array.isArray(value) && value.every((item) => typeof item === "string");
        const long = names ? JSON.stringify(value).length > 4_000 : Object.keys(value ?? "").length > 200 && !Array.isArray(value);
        return typeof value === "object" && key && long ? undefined : value;
      });
    } catch { return text; }
  };
  document.addEventListener("change", (event) => {
    const field = event.target;
    if (field.name === "model_json") field.value = shorten(field.value);
  }, true);

  // A choice that the person made is "dirty" and no longer follows its attributes: bring it back to what came.
  const followAttributes = () => {
    for (const select of document.querySelectorAll("#plan-form select")) {
      const wanted = [...select.options].find((option) => option.hasAttribute("selected")) ?? select.options[0];
      if (wanted && select !== document.activeElement) select.value = wanted.value;
    }
    for (const radio of document.querySelectorAll("#plan-form input[type=radio]")) {
      if (radio.hasAttribute("checked") && !radio.checked) radio.checked = true;
    }
    for (const area of document.querySelectorAll("#plan-form textarea")) {
      if (area !== document.activeElement || area === pasted) area.value = area.defaultValue;
    }
    pasted = null;
  };

  // What was opened or folded stays so, Back included: an entry that is restored comes as the server would send it.
  const folds = new Map();
  document.addEventListener("toggle", (event) => {
    if (event.target.matches?.("details[id]")) folds.set(event.target.id, event.target.open);
  }, true);
  const refold = () => {
    for (const [id, open] of folds) {
      const fold = document.getElementById(id);
      if (fold && fold.open !== open) fold.open = open;
    }
  };

  // What needs attention is never folded away.
  const unfold = (element) => {
    for (let fold = element?.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
  };
  const focusOn = (id, options) => {
    const target = document.getElementById(id);
    unfold(target);
    const control = target?.matches("fieldset") ? target.querySelector(":checked") ?? target : target;
    control?.focus(options);
    return control;
  };

  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[href^='#']");
    const id = link?.hash.slice(1);
    if (!id || event.ctrlKey || event.metaKey || event.shiftKey) return;
    unfold(document.getElementById(id));
    requestAnimationFrame(() => focusOn(id, { preventScroll: true }));
  });

  document.addEventListener("htmx:after:swap", (event) => {
    const { ctx } = event.detail;
    if (!answered(ctx)) return;
    notice(null);
    followAttributes();
    refold();
    document.querySelectorAll("#plan-form details:has([aria-invalid])").forEach((fold) => { fold.open = true; });
    if (focusNext && document.activeElement === document.body) {
      focusOn(document.getElementById("error-summary") ? "error-summary" : focusNext);
    } else if (ctx?.sourceEvent?.type === "submit") {
      document.getElementById("error-summary")?.focus();
    }
    focusNext = null;
  });

  document.addEventListener("htmx:response:error", (event) => {
    const { ctx } = event.detail;
    if (!answered(ctx)) notice([414, 431].includes(ctx.response?.status) ? "long" : "failed");
  });
  document.addEventListener("htmx:error", () => notice("offline"));
  window.addEventListener("popstate", () => { lastTyped = null; });

  // A blank field says nothing: keep it out of the address where the form is sent the plain way.
  document.addEventListener("formdata", (event) => {
    dropBlanks(event.formData);
    // What was typed in the form beside this one goes along.
    const other = document.getElementById(event.target.dataset?.takesAlong);
    for (const field of other?.elements ?? []) {
      if (["model", "gpu"].includes(field.name) && field.value.trim()) event.formData.append(field.name, field.value);
    }
  });

  // Models, found while typing ---------------------------------------------------------------------------------------
  // The list is a listbox that its field controls: arrows move, Enter takes, Escape closes. The server finds.

  const parts = (field) => {
    const box = field.closest(".combo");
    return { list: box.querySelector(".combo-list"), said: box.querySelector("[data-said]") };
  };
  const options = (field) => [...parts(field).list.querySelectorAll("[role=option]")];
  const chosen = (field) => options(field).find((option) => option.ariaSelected === "true");

  // Without this it is a plain field with the browser's own list.
  const upgrade = () => {
    for (const field of document.querySelectorAll("[data-suggests]")) {
      field.removeAttribute("list");
      field.role = "combobox";
      field.ariaAutoComplete = "list";
      field.setAttribute("aria-controls", "model-listbox");
      field.setAttribute("aria-expanded", String(options(field).length > 0 && !parts(field).list.hidden));
    }
  };
  upgrade();
  document.addEventListener("htmx:after:swap", upgrade);

  const close = (field) => {
    clearTimeout(field.waiting);
    field.asking?.abort();
    parts(field).list.hidden = true;
    field.setAttribute("aria-expanded", "false");
    field.removeAttribute("aria-activedescendant");
  };

  const mark = (field, option) => {
    for (const other of options(field)) other.ariaSelected = String(other === option);
    if (option) {
      field.setAttribute("aria-activedescendant", option.id);
      option.scrollIntoView({ block: "nearest" });
    } else {
      field.removeAttribute("aria-activedescendant");
    }
  };

  const suggest = async (field) => {
    field.asking?.abort();
    field.asking = new AbortController();
    const query = new URLSearchParams({ q: field.value.trim(), lang: page.lang });
    try {
      const answer = await fetch(`${field.dataset.suggests}?${query}`, { signal: field.asking.signal });
      if (!answer.ok) return;
      const text = await answer.text();
      if (document.activeElement !== field) return;
      const { list, said } = parts(field);
      list.innerHTML = text;
      list.hidden = false;
      said.textContent = list.firstElementChild.dataset.said;
      field.setAttribute("aria-expanded", String(options(field).length > 0));
      field.removeAttribute("aria-activedescendant");
    } catch { /* another letter came, or the server is gone: the field works without a list */ }
  };

  const take = (field, option) => {
    field.value = option.dataset.value;
    close(field);
    field.dispatchEvent(new Event("change", { bubbles: true }));
  };

  document.addEventListener("input", (event) => {
    const field = event.target;
    if (!field.dataset?.suggests) return;
    clearTimeout(field.waiting);
    field.waiting = setTimeout(() => suggest(field), 120);
  });

  document.addEventListener("keydown", (event) => {
    const field = event.target;
    if (!field.dataset?.suggests || event.isComposing) return;
    const open = !parts(field).list.hidden;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (!open) return void suggest(field);
      const all = options(field);
      const step = event.key === "ArrowDown" ? 1 : -1;
      const place = all.indexOf(chosen(field));
      mark(field, all[(place < 0 && step < 0 ? all.length : place + all.length + step) % all.length] ?? null);
    } else if (event.key === "Enter" && open && chosen(field)) {
      event.preventDefault();
      take(field, chosen(field));
    } else if (event.key === "Escape" && open) {
      event.preventDefault();
      close(field);
    }
  });

  document.addEventListener("pointerdown", (event) => {
    const option = event.target.closest?.(".combo-list");
    if (option) event.preventDefault(); // the field keeps the focus
  });
  document.addEventListener("click", (event) => {
    const option = event.target.closest?.("[role=option]");
    if (option) take(option.closest(".combo").querySelector("[data-suggests]"), option);
  });
  document.addEventListener("focusout", (event) => { if (event.target.dataset?.suggests) close(event.target); });
  document.addEventListener("submit", (event) => {
    event.target.querySelectorAll?.("[data-suggests]").forEach(close);
  }, true);

  // Copying ----------------------------------------------------------------------------------------------------------

  document.addEventListener("click", async (event) => {
    const button = event.target.closest?.("[data-copies]");
    if (!button) return;
    const said = button.dataset.label ?? (button.dataset.label = button.textContent);
    const source = document.getElementById(button.dataset.copies);
    const text = button.dataset.copies ? source?.value ?? source?.textContent ?? "" : location.href;
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = button.dataset.done;
    } catch {
      button.textContent = button.dataset.failed;
    }
    button.setAttribute("aria-live", "polite");
    setTimeout(() => { button.textContent = said; }, 2000);
  });

  // Opening a config.json --------------------------------------------------------------------------------------------

  document.addEventListener("change", async (event) => {
    const file = event.target.dataset?.readsInto && event.target.files[0];
    if (!file) return;
    event.stopImmediatePropagation();
    const field = document.getElementById(event.target.dataset.readsInto);
    field.value = shorten(await file.slice(0, 2_000_000).text());
    event.target.value = "";
    field.dispatchEvent(new Event("change", { bubbles: true }));
  }, true);
})();
