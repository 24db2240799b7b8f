"""Other people's scripts and style sheets that the page carries: DataTables by itables, Vega by vl-convert."""

import hashlib
import re
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from rnnbench.errors import RnnbenchError
from rnnbench.utils.files import cache_folder, write_whole

HERE = Path(__file__).parent
EXPORTS = re.compile(r"export\s*\{([^}]*)\}")


def datatables() -> tuple[str, str]:
    """Script and style layout of DataTables, which gives `window.DataTable`.

    Raises:
        RnnbenchError: itables has another form than expected.
    """
    script, style = ((_folder("itables") / "html" / f"dt_bundle.{end}").read_text("utf-8") for end in ("js", "css"))
    exports = EXPORTS.search(script)
    names = {outside: inside for inside, outside in re.findall(r"([\w$]+) as ([\w$]+)", exports[1] if exports else "")}
    if "jQuery" not in names:
        raise RnnbenchError(f"itables {version('itables')} exports no jQuery: the page cannot be built with it")
    return EXPORTS.sub("", script) + f"\nwindow.DataTable = {names['jQuery']}.fn.dataTable;\n", style


def vega() -> str:
    """Vega-Embed and what it needs as one script, which gives `window.vegaEmbed`."""
    import vl_convert

    call = "window.vegaEmbed = vegaEmbed;"
    return kept(f"vega-embed-{version('vl-convert-python')}", lambda: str(vl_convert.javascript_bundle(call)))


def kept(name: str, make: Callable[[], str]) -> str:
    """A text that takes long to make, from the cache; one there that is not whole, or cannot be kept, is made anew."""
    try:
        path = cache_folder("board") / f"{name}.txt"
        head, _, text = path.read_text("utf-8").partition("\n")
        if head == hashlib.sha256(text.encode()).hexdigest():
            return text
    except (OSError, ValueError, RnnbenchError):
        pass
    text = make()
    with suppress(RnnbenchError):
        write_whole(cache_folder("board") / f"{name}.txt", f"{hashlib.sha256(text.encode()).hexdigest()}\n{text}")
    return text


def _folder(package: str) -> Path:
    """Where a package lies; it is not imported, as that takes long."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise RnnbenchError(f"the page needs {package}: pip install 'rnnbench[board]'")
    return Path(spec.origin).parent


def own(name: str) -> str:
    """A file of ours."""
    return (HERE / name).read_text("utf-8")
