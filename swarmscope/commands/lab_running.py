"""`swarmscope lab run` and `resume`: the pipeline, the contents, the sessions and the data set of one training."""

import fcntl
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Annotated, NoReturn

from cyclopts import Parameter

from feedback_wire.trainings import IN_A_BROWSER, PLAYED_BY, TrainingProgress, TrainingState
from qoe_lab.running.environment import environment
from qoe_lab.running.kernel_offer import kernel_offer, why_no_sessions
from qoe_lab.running.rate_trace import read_trace
from qoe_lab.running.session_processes import check_reachable
from qoe_lab.running.session_swarm import rung_near
from qoe_lab.running.training_folder import TrainingExistsError, TrainingFolder, create_training
from qoe_lab.running.training_run import RunOptions, TrainingFailedError, TrainingRun
from qoe_lab.sources.ladder import read_contents
from qoe_lab.sources.video_encoding import make_contents
from qoe_lab.training_plan import TrainingSettings, plan_sessions
from serving.listening import is_http_url
from serving.regular_files import read_regular_text
from swarmscope.commands import exit_on, exit_on_usage_error
from swarmscope.commands.lab_exporting import export_training
from swarmscope.commands.lab_pipeline import Pipeline, own_pipeline, pipeline_at
from swarmscope.commands.lab_screen import TrainingScreen
from swarmscope.commands.lab_trainings import DATA, named_training
from swarmscope.demo.component_process import ComponentEnded

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """How a training is run, which does not change its data."""

    data: Path = DATA
    """Folder with the folders of the trainings. Each training gets a folder with its name."""
    contents: Path | None = None
    """Folder with encoded contents (the videos to play), which the command does not change. Without it, the command uses the folder
    named `contents` in --data, and encodes the contents that are missing there."""
    parallel: int | None = None
    """Sessions at the same time. By default one for each processor. A session in a browser is always played alone."""
    coordinator: str | None = None
    """URL of a coordinator that the sessions report to. Without it, the command starts a coordinator and a feedback server of its
    own, with their data in the folder of the training."""
    ingest_key: Path | None = None
    """File with the ingest key of --coordinator."""


HowToRun = Annotated[Running, Parameter(name="*")]
USUAL = Running()


def run(
    *,
    name: str | None = None,
    sessions: int = 12,
    limits: str = "0.5,1,3",
    seconds: float = 20.0,
    source: str = "hls",
    client: str | None = None,
    delay_ms: float = 10.0,
    loss: float = 0.0,
    queue_ms: float = 100.0,
    congestion_control: str = "cubic",
    trace: str | None = None,
    seed: int = 1,
    running: HowToRun = USUAL,
) -> None:
    """Run a new training.

    Parameters
    ----------
    name
        Name of the training, which is also the name of its folder. By default the date and time.
    sessions
        Number of sessions. They are divided equally among the limits; the shares differ by at most one session.
    limits
        Limits of the rate in Mbit/s (10^6 bit/s), with commas. A limit applies to both directions.
    seconds
        Seconds that each session plays, 5 to 3600.
    source
        What is played: hls, dash or overlay, or several with commas. twitch is refused, because sessions have no connection to the
        Internet.
    client
        Client that plays: headless (without a browser), hls.js, dash.js or overlay, or several with commas. By default headless, or
        overlay for the source overlay. Each block has one source and one client. The blocks are divided equally among the pairs of
        a source and a client; the shares differ by at most one block.
    delay_ms
        Delay of each direction of the link in milliseconds.
    loss
        Probability that a packet is lost, in each direction, 0 to 0.5.
    queue_ms
        How long a packet may wait in the queue of the link, in milliseconds, before it is dropped.
    congestion_control
        Congestion control of TCP: cubic, reno or bbr.
    trace
        Name or path of a network trace that the rate follows. The trace is scaled so that its mean is the limit.
    seed
        Decides the order of the limits in each block.
    """
    try:
        settings = TrainingSettings(
            name=name or time.strftime("training-%Y%m%d-%H%M%S"),
            sessions=sessions,
            limits_mbps=_limits(limits),
            seconds=seconds,
            source=source,
            client=client or _usual_client(source),
            delay_ms=delay_ms,
            loss=loss,
            queue_ms=queue_ms,
            congestion_control=congestion_control,
            trace=trace,
            seed=seed,
        )
        for each in settings.sources:
            check_reachable(each)
        if trace is not None:
            read_trace(trace)
        _check(running)
        offer = kernel_offer()
        training = create_training(running.data / settings.name, settings, environment(congestion_control, offer))
    except (TrainingExistsError, ValueError) as error:
        exit_on_usage_error(error)
    except OSError as error:
        exit_on(error)
    _run_and_export(training, running)


def resume(training: str, /, *, running: HowToRun = USUAL) -> None:
    """Continue a training.

    Parameters
    ----------
    training
        Name of the training, or path of its folder.
    """
    folder = named_training(training, running.data)
    try:
        _check(running)
        if folder.is_cancelled:
            raise ValueError(f"{folder.path} is cancelled; start a new training: swarmscope lab run")
        folder.queue()
    except ValueError as error:
        exit_on_usage_error(error)
    _run_and_export(folder, running)


def _usual_client(source: str) -> str:
    """The usual clients of the sources in `source`, each once, with commas."""
    return ",".join(dict.fromkeys(PLAYED_BY.get(each, ("headless",))[0] for each in source.split(",")))


def _limits(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"--limits is {text!r}; give numbers of Mbit/s with commas, such as 0.25,1,2") from None


def _check(running: Running) -> None:
    """ValueError for flags that cannot be used, before anything is made."""
    if running.parallel is not None and running.parallel < 1:
        raise ValueError(f"--parallel is {running.parallel}; it needs a whole number of at least 1")
    if running.coordinator is not None and not is_http_url(running.coordinator):
        raise ValueError(f"--coordinator is {running.coordinator!r}; it needs a URL, such as https://coordinator.example")
    if running.ingest_key is not None and running.coordinator is None:
        raise ValueError("--ingest-key is the key of --coordinator: give its URL too")
    if running.contents is not None:
        read_contents(running.contents)
    why = why_no_sessions(kernel_offer())
    if why is not None:
        raise ValueError(why)


def _run_and_export(training: TrainingFolder, running: Running) -> None:
    try:
        if not training.is_running():
            # Before the training runs, because a pause that comes later is meant for this process.
            training.withdraw_pause()
        with training.running():
            training.note_failure(None)
            progress = _run(training, running)
            if progress.captured:
                export_training(training)
    except BlockingIOError as error:
        exit_on_usage_error(error)
    except (TrainingFailedError, ComponentEnded, OSError, ValueError) as error:
        training.note_failure(str(error))
        exit_on(error)
    _end(training, progress)


def _run(training: TrainingFolder, running: Running) -> TrainingProgress:
    contents, content_ids = _contents(running)
    with _pipeline(training, running) as pipeline, TrainingScreen(plan_sessions(training.settings)) as screen:
        options = RunOptions(
            parallel=_parallel(training.settings, running.parallel),
            contents=contents,
            content_ids=content_ids,
            rungs=_rungs(training.settings, contents),
            coordinator_socket=pipeline.socket,
            ingest_key=pipeline.ingest_key or None,
        )

        training_run = TrainingRun(training, options, changed=screen.changed, check=pipeline.check)
        with _stopping(training_run):
            screen.print_line(f"training {training.training_id} in {training.path}: {options.parallel} sessions at a time")
            return training_run.run()


def _parallel(settings: TrainingSettings, wanted: int | None) -> int:
    if all(player.client in IN_A_BROWSER for player in settings.players):
        return 1
    return wanted or len(os.sched_getaffinity(0))


def _pipeline(training: TrainingFolder, running: Running) -> AbstractContextManager[Pipeline]:
    if running.coordinator is None:
        return own_pipeline(training.pipeline.absolute())
    key = read_regular_text(running.ingest_key).strip() if running.ingest_key is not None else ""
    return pipeline_at(running.coordinator, key, training.pipeline.absolute())


def _contents(running: Running) -> tuple[Path, tuple[str, ...]]:
    """The folder of the contents and their ids. ValueError if a given folder has none."""
    if running.contents is not None:
        return running.contents, tuple(sorted(read_contents(running.contents)))
    contents = running.data / "contents"
    contents.mkdir(parents=True, exist_ok=True)
    with (contents / "making").open("w") as making:
        fcntl.flock(making, fcntl.LOCK_EX)  # two trainings that start together make them once
        there = {path.parent.name for path in contents.glob("*/content.json")}

        def show(content_id: str, done: int, total: int) -> None:
            if content_id not in there:
                print(f"content {content_id} is encoded ({done} of {total})", flush=True)

        return contents, tuple(content.content_id for content in make_contents(contents, progress=show))


def _rungs(settings: TrainingSettings, contents: Path) -> dict[str, str]:
    if "overlay" not in settings.sources:
        return {}
    return {content_id: rung_near(content, settings.limits_mbps) for content_id, content in read_contents(contents).items()}


@contextmanager
def _stopping(training_run: TrainingRun) -> Iterator[None]:
    """Let Ctrl-C or SIGTERM pause the training during the block."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        training_run.stop()

    before = {number: signal.signal(number, stop) for number in STOPPING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(training: TrainingFolder, progress: TrainingProgress) -> NoReturn:
    given_up = f", {progress.given_up} given up" if progress.given_up else ""
    print(f"training {progress.state.value}: {progress.captured} of {progress.planned} sessions captured{given_up}", flush=True)
    if progress.state is TrainingState.PAUSED:
        print(f"continue it: swarmscope lab resume {training.path}", flush=True)
    sys.exit(0 if progress.state is TrainingState.FINISHED and progress.captured else 1)
