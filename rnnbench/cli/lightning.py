"""Lightning's own command line, for the modules of this package and any others: `rnnbench-lightning`."""

import lightning.pytorch.cli

import rnnbench.architectures
import rnnbench.data  # noqa: F401  # both: their classes are then known by name


class LightningCLI(lightning.pytorch.cli.LightningCLI):
    """Lightning's `LightningCLI`, whose model takes its sizes from the data as soon as both are made.

    So `--optimizer` and `--lr_scheduler` find parameters; in the original they are made of a model that has none until
    the Trainer starts.
    """

    def _add_configure_optimizers_method_to_model(self, subcommand: str | None) -> None:
        if hasattr(self.model, "build_from") and hasattr(self.datamodule, "model_kwargs"):
            self.model.build_from(self.datamodule)
        super()._add_configure_optimizers_method_to_model(subcommand)


def main() -> None:
    """`rnnbench-lightning {fit,validate,test,predict} …`: a file, so that DDP can start it again for each device."""
    LightningCLI()


if __name__ == "__main__":
    main()
