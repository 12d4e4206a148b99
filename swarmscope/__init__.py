"""The `swarmscope` command, the one-machine demo with its simulated audience, and `open_logs` for notebooks."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

__all__ = ["open_logs"]


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
) -> Any:  # noqa: ANN401 - each of the three has its own type, and none of them is imported unless asked for
    """Recorded logs as a frame of messages: checked, each message once, located and scored.

    `paths` are log files and folders of them. The answer has a row per message, in the order of receipt (a DuckDB relation has no
    order), and these columns: the record's fields with their units in their names (`received_ms` and `sent_ms` are Unix time in ms,
    rates are kbit/s, `continuity` and `p2p_ratio` are 0…1), `extra` (JSON text), `country`, `area`, `district`, and one for each of
    `models`, called as its measure. Missing values are null; `channel`, `isp`, `app` and `platform` are "unknown" instead.

    `begin` and `end` are ISO 8601 or Unix ms, half-open, by `received_ms`; `where` filters as `swarmscope analyze --where` does;
    `model_set` changes coefficients, such as `["mos_stalling.length=0.2"]` or `["mos.calibration=public"]`; `geo_city`, `geo_asn`,
    `districts`, `district_name` and `area_resolution` place addresses as the flags of those names do. ValueError and
    FileNotFoundError say what is wrong; what is damaged or cannot be read is left out, with a warning that names it.
    """
    from feedback_analysis.location_settings import LocationSettings
    from swarmscope.frames import frame

    location = LocationSettings(
        geo_city=None if geo_city is None else Path(geo_city),
        geo_asn=None if geo_asn is None else Path(geo_asn),
        districts=str(districts),
        district_name=district_name,
        area_resolution=area_resolution,
    )
    return frame([Path(path) for path in paths], as_, begin, end, where or {}, models, model_set, location)
