"""Every kind of module and data through all loops in two processes that train together."""

import os

from rnnbench.twins import twins_in_place
from tests.test_lightning_matrix import KINDS, Seen, make_data, make_model, through_all_loops, trainer


def main() -> None:
    """Says which kinds are done, in the first of both processes."""
    with twins_in_place():
        for kind in KINDS:
            pair = trainer(devices=2, strategy="ddp")
            through_all_loops(pair, make_model(kind), make_data(kind))
            seen = Seen()
            trainer(devices=2, strategy="ddp", overfit_batches=2, callbacks=[seen]).fit(
                make_model(kind), make_data(kind)
            )
            assert [len(batch.inputs) for batch in seen.batches] == [2, 2]  # a half of each batch of four
            assert kind != "stream" or [batch.continues for batch in seen.batches] == [False, True]
            if os.environ.get("LOCAL_RANK", "0") == "0":
                print(f"\nDONE {kind} {pair.world_size}", flush=True)


if __name__ == "__main__":
    main()
