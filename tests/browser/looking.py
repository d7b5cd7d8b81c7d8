"""What a machine can see of a page: accessibility by axe-core, and what overflows or is cut off."""

from functools import cache
from pathlib import Path

from playwright.sync_api import Page

AXE = Path(__file__).parent / "vendor" / "axe-core-4.14.1.min.js"
TAGS = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")

CUT_OFF = """() => {
  const wide = document.documentElement.clientWidth;
  const scrolls = (element) => {
    for (let up = element; up; up = up.parentElement) {
      if (["auto", "scroll", "hidden", "clip"].includes(getComputedStyle(up).overflowX) && up !== document.body) return true;
    }
    return false;
  };
  const unseen = (element) => {
    for (let up = element.parentElement; up; up = up.parentElement) if (getComputedStyle(up).clipPath === "inset(50%)") return true;
    return false;
  };
  const named = (element) =>
    `${element.tagName.toLowerCase()}.${element.getAttribute("class") ?? ""}: ${element.textContent.trim().slice(0, 40)}`;
  const found = [];
  if (document.documentElement.scrollWidth > wide) found.push(`the page is ${document.documentElement.scrollWidth} wide`);
  for (const element of document.querySelectorAll("body *")) {
    if (!element.checkVisibility() || element.closest(".visually-hidden, .skip-link, datalist, defs")) continue;
    const box = element.getBoundingClientRect();
    if (!box.width || !box.height) continue;
    const style = getComputedStyle(element);
    if (style.clipPath === "inset(50%)" || unseen(element)) continue; // for screen readers alone
    const drawn = element.closest("svg");
    if (drawn && drawn !== element) {
      const frame = drawn.getBoundingClientRect();
      if (element.matches("foreignObject > *") && box.bottom > element.parentElement.getBoundingClientRect().bottom + 1) {
        found.push(`out of its box: ${named(element)}`);
      }
      if (element.matches("text") && !scrolls(drawn) && (box.left < -1 || box.right > wide + 1)) found.push(`drawn off: ${named(element)}`);
      if (element.matches("text") && box.bottom > frame.bottom + 4) found.push(`drawn below: ${named(element)}`);
      continue;
    }
    const own = [...element.childNodes].filter((node) => node.nodeType === Node.TEXT_NODE).map((node) => node.data.trim()).join(" ");
    const size = parseFloat(style.fontSize);
    if (style.display !== "inline" && own.length > 8 && box.width < 3.5 * size && box.height > 6 * size) found.push(`squeezed: ${named(element)}`);
    if (style.display === "inline" && own.length > 8 && box.width < 2 * size && box.height > 6 * size) found.push(`squeezed: ${named(element)}`);
    if ((box.right > wide + 1 || box.left < -1) && !scrolls(element)) found.push(`beyond the edge: ${named(element)}`);
    const cut = style.overflowX === "hidden" || style.overflowX === "clip" || style.overflowY === "hidden";
    if (cut && element.textContent.trim() && (element.scrollWidth > element.clientWidth + 1 || element.scrollHeight > element.clientHeight + 2)) {
      found.push(`cut off: ${named(element)}`);
    }
    if (element.matches("button, .button, summary, label, th, td, dd, li, p, h1, h2, h3, a") && style.overflowX === "visible"
        && style.display !== "inline" && element.scrollWidth > element.clientWidth + 1 && !scrolls(element)) {
      found.push(`spills over: ${named(element)}`);
    }
  }
  return [...new Set(found)].slice(0, 12);
}"""
"""Text that is cut off, squeezed into a column a letter wide, or leaves its box, the window or its drawing.

What scrolls on purpose is fine.
"""

RUN = """(tags) => axe.run(document, {runOnly: tags, resultTypes: ["violations"]}).then((result) =>
  result.violations.flatMap((rule) => rule.nodes.map((node) => `${rule.id}: ${node.target.join(" ")}: ${node.failureSummary}`)))"""


@cache
def _axe() -> str:
    return AXE.read_text(encoding="utf-8")


def cut_off(page: Page) -> list[str]:
    """What overflows or is cut off at the present width."""
    found: list[str] = page.evaluate(CUT_OFF)
    return found


def violations(page: Page) -> list[str]:
    """What axe finds, WCAG 2.2 AA and its own best practice. It comes in past the page's policy, by the debugger."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(_axe())
    found: list[str] = page.evaluate(RUN, list(TAGS))
    return found
