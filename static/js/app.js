// What a page gains with JavaScript: live updates that Back can undo, copying, opening a config.json.
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

  // 422 is an answer: the same page, saying what to put right.
  const answered = (ctx) => ctx?.response?.status < 400 || ctx?.response?.status === 422;

  // Live updates -----------------------------------------------------------------------------------------------------

  let lastTyped = null; // the field whose typing made the newest history entry
  let focusNext = null; // the id to focus when a followed link has vanished with the swap

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
    if (typing && field.dataset?.live === "change" && !picksFromList(field)) {
      event.preventDefault();
      return;
    }
    for (const [name, value] of [...ctx.request.body]) {
      if (String(value).trim() === "") ctx.request.body.delete(name);
    }
    const query = new URLSearchParams(ctx.request.body).toString();
    const submitted = ctx.sourceEvent.type === "submit";
    if (!submitted && query === new URLSearchParams(location.search).toString()) {
      event.preventDefault();
      return;
    }
    // The first keystroke in a field is a step that Back undoes, the next ones belong to it.
    if (typing && lastTyped === field.name) {
      ctx.push = null;
      ctx.replace = "true";
    }
    lastTyped = typing ? field.name : null;
  });

  const picksFromList = (field) =>
    [...(field.list?.options ?? [])].some((option) => option.value === field.value.trim());

  // A choice that the person made is "dirty" and no longer follows its attributes: bring it back to what came.
  const followAttributes = () => {
    for (const select of document.querySelectorAll("#plan-form select")) {
      const wanted = [...select.options].find((option) => option.hasAttribute("selected")) ?? select.options[0];
      if (wanted && select !== document.activeElement) select.value = wanted.value;
    }
    for (const radio of document.querySelectorAll("#plan-form input[type=radio]")) {
      if (radio.hasAttribute("checked") && !radio.checked) radio.checked = true;
    }
    const pasted = document.getElementById("f-model_json");
    if (pasted && pasted !== document.activeElement) pasted.value = pasted.defaultValue;
  };

  document.addEventListener("htmx:after:swap", (event) => {
    const { ctx } = event.detail;
    if (!answered(ctx)) return;
    notice(null);
    followAttributes();
    if (focusNext && document.activeElement === document.body) {
      const field = document.getElementById(focusNext);
      const control = field?.matches("fieldset") ? field.querySelector(":checked") ?? field : field;
      control?.focus({ preventScroll: false });
    } else if (ctx?.sourceEvent?.type === "submit") {
      document.getElementById("error-summary")?.focus();
    }
    focusNext = null;
  });

  document.addEventListener("htmx:response:error", (event) => {
    if (!answered(event.detail.ctx)) notice("failed");
  });
  document.addEventListener("htmx:error", () => notice("offline"));
  window.addEventListener("popstate", () => { lastTyped = null; });

  // A blank field says nothing: keep it out of the address where the form is sent the plain way.
  document.addEventListener("formdata", (event) => {
    for (const [name, value] of [...event.formData]) {
      if (String(value).trim() === "") event.formData.delete(name);
    }
  });

  // Copying ----------------------------------------------------------------------------------------------------------

  document.addEventListener("click", async (event) => {
    const button = event.target.closest?.("[data-copies]");
    if (!button) return;
    const said = button.dataset.label ?? (button.dataset.label = button.textContent);
    const text = document.getElementById(button.dataset.copies)?.textContent ?? "";
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
    field.value = (await file.slice(0, 200_000).text()).slice(0, 24_001);
    event.target.value = "";
    field.dispatchEvent(new Event("change", { bubbles: true }));
  }, true);
})();
