"""Every kind of module and data through all loops in two processes that train together."""

import os

from rnnbench.twins import twins_in_place
from tests.test_lightning_matrix import KINDS, make_data, make_model, through_all_loops, trainer


def main() -> None:
    """Says which kinds are done, in the first of both processes."""
    with twins_in_place():
        for kind in KINDS:
            pair = trainer(devices=2, strategy="ddp")
            through_all_loops(pair, make_model(kind), make_data(kind))
            if os.environ.get("LOCAL_RANK", "0") == "0":
                print(f"\nDONE {kind} {pair.world_size}", flush=True)


if __name__ == "__main__":
    main()
