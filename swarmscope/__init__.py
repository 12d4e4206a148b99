"""The `swarmscope` command, the demo with its simulated audience, and `open_logs` and `open_training` for notebooks."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from feedback_wire.kinds import KindName, RecordKind

__all__ = ["open_logs", "open_training"]


def open_logs(
    *paths: str | Path,
    as_: Literal["pandas", "polars", "duckdb"] = "pandas",
    begin: str | None = None,
    end: str | None = None,
    where: Mapping[str, str] | None = None,
    models: Sequence[str] = ("mos",),
    model_set: Sequence[str] = (),
    geo_city: str | Path | None = None,
    geo_asn: str | Path | None = None,
    districts: str | Path = "",
    district_name: str = "name",
    area_resolution: int | None = None,
    kind: KindName = "feedback",
) -> Any:  # noqa: ANN401 - each of the three has its own type, and only the requested one is imported
    """Recorded logs as a frame of messages: verified, without duplicates, located and scored.

    `paths` are logs and folders of logs. The result has one row per message, in order of receipt (a DuckDB relation has no order).
    The columns are the record's fields, `extra` (JSON text), `country`, `area`, `district`, and one column per model in `models`.
    Units are in the names: `received_ms` and `sent_ms` are Unix time in ms, rates are in kbit/s, `continuity` and `p2p_ratio` are
    from 0 to 1. Missing values are null, but `channel`, `isp`, `app` and `platform` are then "unknown".

    `begin` (inclusive) and `end` (exclusive) limit `received_ms`, as ISO 8601 or Unix ms. `where` filters like
    `swarmscope analyze --where`. `model_set` changes coefficients, such as `["mos_stalling.length=0.2"]` or
    `["mos.calibration=public"]`. `geo_city`, `geo_asn`, `districts`, `district_name` and `area_resolution` are like the flags with
    these names.

    With `kind="measurement"`, the result has one row per operation of active measurement, with `values`, `hops` and `tags` as JSON
    text; with `kind="inference"`, it has one row per inference. `where` filters like `analyze --kind`, and the arguments of scores
    and locations have no effect.

    ValueError and FileNotFoundError describe invalid arguments. Damaged and unreadable parts are omitted with a warning.
    """
    from feedback_analysis.location_settings import LocationSettings
    from swarmscope.notebooks import frame, record_frame

    if kind != "feedback":
        return record_frame(RecordKind(kind), [Path(path) for path in paths], as_, begin, end, where or {})
    location = LocationSettings(
        geo_city=None if geo_city is None else Path(geo_city),
        geo_asn=None if geo_asn is None else Path(geo_asn),
        districts=str(districts),
        district_name=district_name,
        area_resolution=area_resolution,
    )
    return frame([Path(path) for path in paths], as_, begin, end, where or {}, models, model_set, location)


def open_training(
    *paths: str | Path,
    table: Literal["trainings", "sessions", "slots", "flows", "events"] = "sessions",
    as_: Literal["pandas", "polars", "duckdb"] = "pandas",
) -> Any:  # noqa: ANN401 - each of the three has its own type, and only the requested one is imported
    """A table of the data sets that `swarmscope lab` made of trainings.

    `paths` are folders of trainings, their `dataset/` folders, or folders with several trainings. docs/formats/training-dataset.md
    lists the columns of each table with their units. Unknown values are null. Sessions that are not valid are in the table of
    sessions, with `valid` false and the reason.

    ValueError and FileNotFoundError describe invalid arguments, a training without a data set, and a file of another version.
    """
    from swarmscope.training_frames import training_frame

    return training_frame([Path(path) for path in paths], table, as_)
