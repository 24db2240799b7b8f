"""Equations of docstrings, which are plain text such as `h_t = o ⊙ tanh(c_t)`, as MathML: browsers need no script."""

import re
from html import escape

from latex2mathml.converter import convert

SYMBOLS = {
    "⊙": r"\odot ", "·": r"\cdot ", "×": r"\times ", "−": "-", "…": r"\ldots ", "≥": r"\geq ", "≤": r"\leq ",
    "Σ": r"\sum ", "∂": r"\partial ", "‖": r"\Vert ", "±": r"\pm ", "α": r"\alpha ", "β": r"\beta ", "γ": r"\gamma ",
    "δ": r"\delta ", "Δ": r"\Delta ", "ε": r"\epsilon ", "ζ": r"\zeta ", "θ": r"\theta ", "λ": r"\lambda ",
    "Λ": r"\Lambda ", "ν": r"\nu ", "σ": r"\sigma ", "φ": r"\varphi ", "ᵀ": r"^{\top}", "²": "^{2}", "%": r"\%",
    "⁰": "^{0}", "{": r"\{", "}": r"\}", "↦": r"\mapsto ", "&": r"\&",
}  # fmt: skip
FUNCTIONS = {"tanh", "exp", "log", "max", "min", "sin", "Re", "ReLU", "LN", "mean", "softmax"}
DISPLAY_LENGTH = 18
"""Letters of an equation from which on it has a line of its own."""
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
    made, closing = "", []
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
    return rf"\text{{ {word} }}"


def math(text: str, display: bool = False, after: str = "") -> str:
    """An equation as a `<math>` element; `after` is punctuation that belongs to it."""
    latex = to_latex(text) + (rf"\text{{{after}}}" if after else "")
    return convert(latex, display="block" if display else "inline")


def typeset(text: str) -> str:
    """Markdown in which the mathematics of a docstring's paragraphs is MathML; long equations have their own lines."""
    made, at = [], 0
    for match in re.finditer(r"`([^`]+)`([,;.:]?)", text):
        made.append(_prose(text[at : match.start()]))
        inner, at = match[1].replace("\n", " "), match.end()
        if not is_math(inner):
            made.append(match[0])
        elif " = " in inner and len(inner) > DISPLAY_LENGTH:
            made.append(f'\n\n<div class="equation">{math(inner, True, match[2])}</div>\n\n')
        else:
            made.append(math(inner) + match[2])
    made.append(_prose(text[at:]))
    paragraphs = re.split(r"\n\s*\n", "".join(made))
    return "\n\n".join(paragraph.strip() for paragraph in paragraphs if paragraph.strip())


def _prose(text: str) -> str:
    """Text between equations; single letters of Greek stand there without backquotes."""
    return escape(text, quote=False)
