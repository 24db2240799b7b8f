"""Equations of docstrings, plain text such as `h_t = o ⊙ tanh(c_t)`, as drawings: readers need no font for them."""

import re
from functools import cache
from html import escape

from matplotlib import rc_context
from matplotlib.font_manager import FontProperties
from matplotlib.path import Path
from matplotlib.textpath import TextToPath

SYMBOLS = {
    "⊙": r"\odot ", "·": r"\cdot ", "×": r"\times ", "−": "-", "…": r"\ldots ", "≥": r"\geq ", "≤": r"\leq ",
    "Σ": r"\sum ", "∂": r"\partial ", "‖": r"\| ", "±": r"\pm ", "α": r"\alpha ", "β": r"\beta ", "γ": r"\gamma ",
    "δ": r"\delta ", "Δ": r"\Delta ", "ε": r"\epsilon ", "ζ": r"\zeta ", "θ": r"\theta ", "λ": r"\lambda ",
    "Λ": r"\Lambda ", "ν": r"\nu ", "σ": r"\sigma ", "φ": r"\varphi ", "ᵀ": r"^{\top}", "²": "^{2}", "%": r"\%",
    "$": r"\$",
    "⁰": "^{0}", "{": r"\{", "}": r"\}", "↦": r"\mapsto ", "&": r"\&",
}  # fmt: skip
FUNCTIONS = {"tanh", "exp", "log", "max", "min", "sin", "Re", "ReLU", "LN", "mean", "softmax"}
DISPLAY_LENGTH = 14
"""Letters of an equation; a longer one has a line of its own."""
_TOKEN = re.compile(
    r"(?P<subscript>_(?:\{[^}]*\}|[A-Za-z0-9]+))|(?P<word>[A-Za-z]+(?=[_' ᵀ²]|\b)|[A-Za-z]+)"
    r"|(?P<power>\^\()|(?P<small>⁻?[⁰¹²³⁴-⁹]+)|(?P<root>√\(?)|(?P<close>[()])|(?P<other>.)",
    re.S,
)


def is_math(text: str) -> bool:
    """Whether what stands between backquotes is mathematics, and not a name or a value of Python."""
    if re.search(r"[\"=]\S|\S=|^\w*_\w{3,}", text):  # an argument, or a name of several words
        return False
    if " = " in text:
        return True
    words = re.findall(r"[A-Za-z]+", re.sub(r"_(\{[^}]*\}|\w+)", "", text))
    return bool(text.strip()) and all(len(word) == 1 or word in FUNCTIONS for word in words)


def to_latex(text: str) -> str:
    """An equation in plain text, in LaTeX: subscripts after `_`, powers as `²` or `^(…)`, roots as `√(…)`."""
    made, closing = "", list[str]()
    for match in _TOKEN.finditer(text):
        kind, part = match.lastgroup, match[0]
        if kind == "subscript":
            made += "_{" + _plain(part[1:].strip("{}")) + "}"
        elif kind == "word":
            made += _word(part)
        elif kind == "power":
            made, closing = made + "^{", [*closing, "}"]
        elif kind == "small":
            made += "^{" + part.translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")) + "}"
        elif kind == "root":
            made += r"\sqrt{"
            if part == "√":  # of the next letter alone
                closing.append("root")
                continue
            closing.append("}")
        elif part == "(":
            made, closing = made + "(", [*closing, ")"]
        elif part == ")":
            made += closing.pop() if closing else ")"
        elif part == " " and re.search(r"[\w}'ᵀ²] [A-Za-zα-ωΑ-Ω]", text[max(0, match.start() - 1) : match.end() + 1]):
            made += r"\,"  # a product
        else:
            made += SYMBOLS.get(part, part)
        if closing and closing[-1] == "root":
            made += "}"
            closing.pop()
    return made


def _plain(text: str) -> str:
    return "".join(SYMBOLS.get(letter, letter) for letter in text)


def _word(word: str) -> str:
    if word in FUNCTIONS:
        return rf"\{word} " if word in ("tanh", "exp", "log", "max", "min", "sin") else rf"\operatorname{{{word}}} "
    if len(word) <= 2:  # a product of two, such as `Wx`
        return word
    return rf"\ \mathrm{{{word}}}"


COMMANDS = {Path.MOVETO: "M", Path.LINETO: "L", Path.CURVE3: "Q", Path.CURVE4: "C", Path.CLOSEPOLY: "Z"}
UNITS = 100
"""Of a drawing, to the width of an em."""


@cache
def math(text: str) -> str:
    """An equation as an `<svg>` in the size and colour of the text around it, with its plain text as the label."""
    latex, made = f"${to_latex(text)}$", []
    with rc_context({"mathtext.fontset": "stix"}):
        font = FontProperties(size=UNITS)
        vertices, codes = TextToPath().get_text_path(font, latex, ismath=True)
        width, height, below = TextToPath().get_text_width_height_descent(latex, font, ismath=True)
    for path_vertices, code in Path(vertices, codes).iter_segments(simplify=False, curves=True):
        points = (
            " ".join(f"{x:.0f},{-y:.0f}" for x, y in path_vertices.reshape(-1, 2)) if code != Path.CLOSEPOLY else ""
        )
        made.append(f"{COMMANDS[code]}{points}")
    size = f'style="width:{width / UNITS:.2f}em;height:{height / UNITS:.2f}em;vertical-align:{-below / UNITS:.2f}em"'
    box = f'viewBox="0 {below - height:.0f} {width:.0f} {height:.0f}"'
    path = f'<path d="{"".join(made)}"/>'
    return f'<span class="math"><svg role="img" aria-label="{escape(text)}" {box} {size}>{path}</svg></span>'


def typeset(text: str, display: bool = True) -> str:
    """Markdown in which the mathematics of a docstring's paragraphs is drawn; with `display`, long equations have lines
    of their own. Lines that begin with a name and a colon, or with a number, are items of a list.
    """
    text = re.sub(r"^(?=`\w+`(?: \([^)]*\))?: )", "- ", text, flags=re.M)
    paragraphs = []
    for paragraph in re.split(r"\n\s*\n", text):
        items = re.split(r"\n(?=- |\d+\. )", paragraph)
        in_list = [re.match(r"- |\d+\. ", item) is not None for item in items]
        for item, before, here in zip(items, [False, *in_list], in_list, strict=False):
            paragraphs.append(("\n" if before and here else "\n\n") + _typeset(item, display and not here))
    return "".join(paragraphs).strip()


def _typeset(text: str, display: bool) -> str:
    made, at = [], 0
    for match in re.finditer(r"`([^`]+)`([,;.:]?)", text):
        made.append(escape(text[at : match.start()], quote=False))
        inner, at = match[1].replace("\n", " "), match.end()
        if not is_math(inner):
            made.append(match[0])
        elif display and " = " in inner and len(inner) > DISPLAY_LENGTH:
            made.append(f'\n\n<div class="equation">{math(inner)}{match[2]}</div>\n\n')
        else:
            made.append(math(inner) + match[2])
    made.append(escape(text[at:], quote=False))
    paragraphs = re.split(r"\n\s*\n", "".join(made))
    return "\n\n".join(paragraph.strip() for paragraph in paragraphs if paragraph.strip())
