"""The command line: a LightningCLI whose parts come from the plugin registries."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from jsonargparse import Namespace
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter, Checkpoint, LearningRateMonitor, ProgressBar, TQDMProgressBar
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI, SaveConfigCallback
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from lightning.pytorch.plugins import CheckpointIO, TorchCheckpointIO
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch import nn

from stn_lightning import (
    __version__,
    _commands,
    callbacks,
    data,
    distortions,
    localisations,
    networks,
    penalties,
    samplers,
    tasks,
    transforms,
)
from stn_lightning._checkpoints import check_complete, check_same_data, check_same_model
from stn_lightning._import_policy import OPTION, VARIABLE, ImportPolicy
from stn_lightning._messages import cause, installed
from stn_lightning._yaml import check_file
from stn_lightning.backbones import initial_weights_left_out
from stn_lightning.callbacks import (
    BestAndLast,
    HardSamples,
    PredictionPictures,
    PredictionTable,
    Preemption,
    RandomState,
    ResumePoint,
    RunSummary,
    TransformerHealth,
    WarpPictures,
    WarpStatistics,
    is_rank_zero,
)
from stn_lightning.checkpoints import WholeCheckpoints, find_checkpoint, hyper_parameters, read_checkpoint
from stn_lightning.checkpoints._finding import NAMES
from stn_lightning.processes import EXIT_CODE, end_now, end_with_parent, limit_waiting, look_after_children
from stn_lightning.tasks import NonFiniteLossError, Task

ROOMS: dict[str, tuple[ModuleType, type]] = {
    "model": (tasks, Task),
    "data": (data, LightningDataModule),
    "network": (networks, nn.Module),
    "distortion": (distortions, distortions.Distortion),
    "penalties": (penalties, penalties.Penalty),
    "callbacks": (callbacks, Callback),
}
REGISTRIES = (transforms.registry, localisations.registry, samplers.registry)
DEFAULTS = {"model": "stn_lightning.tasks.Classification", "data": "stn_lightning.data.DistortedDigits"}
DEFAULT_EPOCHS = 20
FURTHER = "; ".join(f"`stn {name}` {command.summary}" for name, command in _commands.COMMANDS.items())
DESCRIPTION = f"Spatial Transformer Networks. Further commands: {FURTHER}."
OPEN_IMPORTS = f"""\
{OPTION} PKG, anywhere and repeatable, or {VARIABLE}=PKG,PKG: configs and checkpoints may name
classes of PKG, beside those of stn_lightning, its plugins, torch.nn, torch.optim and lightning"""
USER_ERRORS = (*_commands.USER_ERRORS, MisconfigurationException, NonFiniteLossError)


class Parser(LightningArgumentParser):
    """A parser that says in one line what is wrong, and names what is installed."""

    lists_installed = False
    policy: ImportPolicy | None = None

    def format_help(self, *args: Any, **kwargs: Any) -> str:
        """The help, and where it is of a command, what may be imported and what is installed."""
        parts = [super().format_help(*args, **kwargs)]
        parts += [f"{OPEN_IMPORTS}\n"] if self.policy is not None else []
        parts += [f"{installed(REGISTRIES)}\n"] if self.lists_installed else []
        return "\n".join(parts)

    def parse_path(self, path: Any, *args: Any, **kwargs: Any) -> Namespace:
        check_file(path)
        parsed: Namespace = super().parse_path(path, *args, **kwargs)
        return parsed

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Ends the command with the cause."""
        if not self.exit_on_error:
            super().error(message, ex)
        sys.stderr.write(f"{self.prog.split(' [')[0]}: error: {cause(message, REGISTRIES, self.policy, ROOMS)}\n")
        self.exit(2)
        raise AssertionError


class RunConfig(SaveConfigCallback):
    """Writes ``config.yaml`` into the folder of the run; a run without a logger has none."""

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if trainer.loggers:
            super().setup(trainer, pl_module, stage)


class CLI(LightningCLI):
    """``stn fit|validate|test|predict``.

    Unless the trainer's config says otherwise, a run logs to TensorBoard and CSV in a folder of its own, keeps its best and
    its last checkpoint, and shows learning rates and what the spatial transformers look at.

    Args:
        args: the command line; that of the process where None.
        opened: packages that configs and checkpoints may name beside the usual ones.
    """

    def __init__(self, args: ArgsType = None, opened: Sequence[str] = ()) -> None:
        self.policy = ImportPolicy(opened)
        self.policy.enforce()
        self.checkpoints = WholeCheckpoints()
        self.subcommand_parsers: list[LightningArgumentParser] = []
        super().__init__(
            Task,
            LightningDataModule,
            trainer_defaults={"default_root_dir": "runs"},
            seed_everything_default=0,
            save_config_callback=RunConfig,
            parser_class=Parser,
            parser_kwargs={"prog": "stn", "description": DESCRIPTION, "version": __version__},
            subclass_mode_model=True,
            subclass_mode_data=True,
            auto_configure_optimizers=False,
            args=args,
        )

    checkpoint: tuple[Path, dict[str, Any]] | None = None

    def init_parser(self, **kwargs: Any) -> LightningArgumentParser:
        parser = super().init_parser(**kwargs)
        if isinstance(parser, Parser):
            parser.policy = self.policy
        return parser

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.link_arguments("data.input_shape", "model.init_args.input_shape", apply_on="instantiate")
        parser.link_arguments("data.num_classes", "model.init_args.num_classes", apply_on="instantiate")
        # data without sequences have none, and a task without them takes none
        parser.link_arguments(
            "data", "model.init_args.max_length", lambda data: getattr(data, "max_length", None), "instantiate"
        )
        parser.set_defaults(DEFAULTS)
        self.subcommand_parsers.append(parser)
        if isinstance(parser, Parser):
            parser.lists_installed = True

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        if isinstance(args, list):
            self._take_defaults_of_classes(parser.parse_args([arg for arg in args if not arg.startswith("--print_config")]))
        super().parse_arguments(parser, args)
        subcommand: str = self.config.subcommand
        config = self.config[subcommand]
        if config.weights_only is False:
            raise ValueError("--weights_only=false is not allowed: the checkpoint could run code; those of stn are plain data")
        config.weights_only = True
        if config.ckpt_path is None:
            if subcommand != "fit":
                sys.stderr.write(f"stn {subcommand}: no --ckpt_path (a file, best or last): the weights are untrained\n")
            return
        file, checkpoint = self._read_checkpoint(config.ckpt_path, Path(config.trainer.default_root_dir or "."))
        check_complete(checkpoint, subcommand, file)
        config.ckpt_path = str(file)
        self.checkpoints.hand_over(file, checkpoint)
        kept = hyper_parameters(checkpoint)
        unsaid = (
            self.subcommand_parsers[0]
            .parse_object({"model": {"class_path": config.model.class_path}, "data": config.data.as_dict()})
            .model.as_dict()
        )
        check_same_model(config.model.as_dict(), unsaid | {"class_path": DEFAULTS["model"]}, kept, file)
        self.checkpoint = file, kept

    def _read_checkpoint(self, asked: str, root: Path) -> tuple[Path, dict[str, Any]]:
        if asked not in NAMES:
            return Path(asked), read_checkpoint(asked)
        found = find_checkpoint(asked, root)
        if is_rank_zero() and (found.skipped or found.file.stem != asked):
            skipped = "".join(f"skipped: {reason}; " for reason in found.skipped)
            sys.stderr.write(f"stn {self.config.subcommand}: --ckpt_path {asked}: {skipped}taken: {found.file}\n")
        return found.file, found.checkpoint

    def _take_defaults_of_classes(self, config: Namespace) -> None:
        """Makes the classes that are asked for the default ones: jsonargparse keeps the values of a default class for another.

        Without it ``--data=Birds`` would have the ``batch_size`` of ``DistortedDigits``.
        """
        chosen = {part: config[config.subcommand][part].class_path for part in DEFAULTS}
        for parser in self.subcommand_parsers:
            parser.set_defaults(chosen)

    def before_instantiate_classes(self) -> None:
        self.policy.check(self.config[self.subcommand])

    def instantiate_classes(self) -> None:
        with nullcontext() if self.checkpoint is None else initial_weights_left_out():
            super().instantiate_classes()

    def after_instantiate_classes(self) -> None:
        if self.checkpoint is not None:
            file, kept = self.checkpoint
            check_same_data(self.datamodule, kept, file)

    def after_fit(self) -> None:
        """Puts hyper-parameters and final metrics side by side in TensorBoard."""
        metrics = {k: float(v) for k, v in self.trainer.callback_metrics.items() if k.startswith(("val/", "test/"))}
        given = {"data": self.config[self.subcommand].data.as_dict(), "model": dict(self.model.hparams)}
        for logger in self.trainer.loggers:
            if metrics and isinstance(logger, TensorBoardLogger):
                logger.log_hyperparams(given, {f"final {name}": value for name, value in metrics.items()})
                logger.finalize("success")

    after_test = after_fit

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        limit_waiting()
        try:
            trainer = self._usual_trainer(**kwargs)
        except TypeError as e:  # Lightning's, of devices
            raise ValueError(f"--trainer: {e}") from e
        plugins = _as_list(self.config_init[self.subcommand].trainer.plugins)
        if type(trainer.strategy.checkpoint_io) is TorchCheckpointIO and not any(isinstance(p, CheckpointIO) for p in plugins):
            trainer.strategy.checkpoint_io = self.checkpoints
        look_after_children(trainer)
        return trainer

    def _usual_trainer(self, **kwargs: Any) -> Trainer:
        config = self.config_init[self.subcommand].trainer
        if config.barebones:
            return super().instantiate_trainer(**kwargs)
        fits = self.subcommand == "fit"
        root = config.default_root_dir or "."
        loggers = _as_list(config.logger)
        if config.logger in (None, True) and not config.fast_dev_run:
            kwargs["logger"] = loggers = _new_run(root)
        if fits and config.max_epochs is None and config.max_steps == -1 and config.max_time is None:
            kwargs["max_epochs"] = DEFAULT_EPOCHS
        kwargs["callbacks"] = [*_as_list(config.callbacks), *self._usual_callbacks(config, root, loggers)]
        return super().instantiate_trainer(**kwargs)

    def _usual_callbacks(self, config: Namespace, root: str, loggers: list[Logger]) -> list[Callback]:
        """What a run has unless the config has its own of the kind, or switches the kind off."""
        given = _as_list(config.callbacks)
        usual: list[tuple[type, Callable[[], Callback]]] = []
        if self.subcommand == "fit":
            logged = (LearningRateMonitor, WarpPictures, WarpStatistics, HardSamples) if loggers else ()
            usual += [(kind, kind) for kind in (*logged, TransformerHealth, RandomState, ResumePoint)]
        if self.subcommand in ("fit", "test") and loggers:
            usual.append((RunSummary, RunSummary))
        if self.subcommand == "fit" and config.enable_checkpointing is not False:
            monitor = None if config.limit_val_batches == 0 else self.model.monitor
            own = bool(loggers) or config.fast_dev_run  # else no logger has a folder for this run alone
            usual.append((Checkpoint, lambda: BestAndLast(monitor, None if own else _new_folder(root) / "checkpoints")))
        if self.subcommand == "predict":
            usual += [(PredictionPictures, PredictionPictures), (BasePredictionWriter, PredictionTable)]
        if config.enable_progress_bar is not False:
            usual.append((ProgressBar, lambda: TQDMProgressBar(refresh_rate=20)))
        if self.subcommand == "fit":
            usual.append((Preemption, Preemption))  # after the others, whose states are those of the end of the step
        return [make() for kind, make in usual if not any(isinstance(callback, kind) for callback in given)]


def _new_run(root: str) -> list[Logger]:
    """Loggers to a folder ``version_N`` that no other run has, not even one started at the same moment."""
    version = int(_new_folder(root).name.removeprefix("version_"))
    return [
        TensorBoardLogger(root, name="", version=version, default_hp_metric=False),
        CSVLogger(root, name="", version=version),
    ]


def _new_folder(root: str) -> Path:
    """A folder ``version_N`` made by the first process; the others write nothing, and get any."""
    return _reserve(Path(root)) if is_rank_zero() else Path(root) / "version_0"


def _reserve(root: Path) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    taken = [int(p.name.removeprefix("version_")) for p in root.glob("version_*") if p.name[8:].isdigit()]
    version = max(taken, default=-1) + 1
    while True:
        try:
            (root / f"version_{version}").mkdir()
        except FileExistsError:
            version += 1
        else:
            return root / f"version_{version}"


def _as_list(value: Any) -> list[Any]:
    if isinstance(value, list):
        return list(value)
    return [] if value in (None, True, False) else [value]


def run(args: list[str] | None = None) -> None:
    """Runs a command line; what a user can mend ends it with one line instead of a traceback.

    Args:
        args: the arguments; those of the process where None.

    Raises:
        SystemExit: with the cause, on a user's error. The environment variable ``STN_TRACEBACK=1`` raises the error itself.
    """
    _quiet()
    end_with_parent()
    try:
        CLI(*_split(sys.argv[1:] if args is None else args))
    except SIGTERMException as e:
        sys.stdout.flush()
        end_now(e.code if isinstance(e.code, int) else EXIT_CODE)  # Lightning gives none
    except SystemExit as e:
        if isinstance(e.__context__, KeyboardInterrupt):  # Lightning says 1
            sys.exit(130)
        raise
    except KeyboardInterrupt:
        sys.exit(130)
    except USER_ERRORS as e:
        _end(e)
    except RuntimeError as e:
        if "loading state_dict" not in str(e):
            raise
        first, *rest = [line.strip() for line in str(e).splitlines()[1:]]
        _end(e, f"the checkpoint does not fit the model: {first}{f' (and {len(rest)} more)' if rest else ''}")


def _split(args: Sequence[str]) -> tuple[list[str], list[str]]:
    """The arguments of the parser, and the packages of each ``--allow-import``: they are needed before there is a parser."""
    rest: list[str] = []
    opened: list[str] = []
    pending = iter(args)
    for arg in pending:
        option, is_given, package = arg.partition("=")
        if option != OPTION:
            rest.append(arg)
        elif package := package if is_given else next(pending, ""):
            opened.append(package)
        else:
            raise ValueError(f"expected a package after {OPTION}")
    return rest, opened


def _end(error: Exception, message: str | None = None) -> NoReturn:
    if os.environ.get(_commands.TRACEBACK):
        raise error
    text = message or str(error)
    text = cause(text, REGISTRIES) if "Union subtypes" in text else text  # a constructor's error, inside jsonargparse's
    sys.exit(f"stn: error: {_commands.in_one_line(text)}")


def _quiet() -> None:
    """Silences what a user can do nothing about."""
    # they are those of the process, less --allow-import
    warnings.filterwarnings("ignore", message="LightningCLI's args parameter")
    # https://github.com/Lightning-AI/pytorch-lightning/issues/21396: a deprecation inside Lightning
    warnings.filterwarnings("ignore", message=".*LeafSpec.*")
    # the folder of a run is reserved before the loggers see it, and holds nothing of another run
    warnings.filterwarnings("ignore", message="Experiment logs directory .* exists and is not empty")
    # best and last checkpoints are of BestAndLast, which only a fit has
    warnings.filterwarnings("ignore", message="Be aware that when using `ckpt_path`")
    warnings.filterwarnings("ignore", message="Precision .* is not supported by the model summary")
    # the batches are no DataLoader; PredictionTable knows which image is which
    warnings.filterwarnings("ignore", message="Couldn't infer the batch indices")
    for name in ("lightning.pytorch.utilities.rank_zero", "lightning.fabric.utilities.rank_zero"):
        logging.getLogger(name).addFilter(lambda record: "Tip:" not in record.getMessage())  # advertisements
