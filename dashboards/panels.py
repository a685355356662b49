"""A panel in a few lines: what is asked, in which unit, in which words. Built by Grafana's own foundation SDK."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from grafana_foundation_sdk.builders import common as made
from grafana_foundation_sdk.builders import dashboard, heatmap, prometheus, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from dashboards.words import BAD, COLOURS, GOOD

Panel = Builder[model.Panel]
DATASOURCE = model.DataSourceRef(type_val="prometheus", uid="${datasource}")
#: Grafana's grid is 24 wide.
WHOLE, HALF, THIRD = 24, 12, 8
NO_VALUE = "nothing seen"
_IN_COLOUR = model.DynamicConfigValue(id_val="custom.cellOptions", value={"type": "color-text"})


@dataclass(frozen=True, slots=True)
class Ask:
    """A query, and what its series are called."""

    expr: str
    legend: str = "__auto"


@dataclass(frozen=True, slots=True)
class Column:
    """A table's column: the field's name, its title, how its values read; how many pixels wide, None: what is left."""

    field: str
    title: str
    words: model.ValueMapping | None = None
    unit: str | None = None
    link: str | None = None
    width: int | None = None


def _query(ask: Ask, number: int, form: PromQueryFormat, *, instant: bool) -> prometheus.Dataquery:
    built = prometheus.Dataquery().expr(ask.expr).legend_format(ask.legend).format(form).datasource(DATASOURCE)
    built = built.ref_id(chr(ord("A") + number))
    return built.instant() if instant else built.range()


def _dressed(
    panel: Any,
    title: str,
    text: str,
    asks: Iterable[Ask],
    *,
    span: int,
    height: int,
    form: PromQueryFormat = PromQueryFormat.TIME_SERIES,
    instant: bool = False,
) -> Any:
    """What every panel has."""
    panel = panel.title(title).description(text).datasource(DATASOURCE).span(span).height(height)
    for number, ask in enumerate(asks):
        panel = panel.with_target(_query(ask, number, form, instant=instant))
    return panel.no_value(NO_VALUE)


def _steps(steps: Sequence[tuple[float | None, str]]) -> dashboard.ThresholdsConfig:
    return (
        dashboard.ThresholdsConfig()
        .mode(model.ThresholdsMode.ABSOLUTE)
        .steps([model.Threshold(value=value, color=colour) for value, colour in steps])
    )


def _coloured(panel: Any, names: Iterable[str]) -> Any:
    """A colour of its own for each name that a legend begins with."""
    for number, name in enumerate(names):
        colour = {"mode": "fixed", "fixedColor": COLOURS[number % len(COLOURS)]}
        panel = panel.override_by_regexp(f"/^{name}\\b/", [model.DynamicConfigValue(id_val="color", value=colour)])
    return panel


def _called(panel: Any, words: model.ValueMap) -> Any:
    """Series whose legend is such a value are called so, in its colour."""
    for number, (value, said) in enumerate(words.options.items()):
        colour = {"mode": "fixed", "fixedColor": said.color or COLOURS[number % len(COLOURS)]}
        looks = {"displayName": said.text, "color": colour}
        panel = panel.override_by_name(value, [model.DynamicConfigValue(id_val=id, value=v) for id, v in looks.items()])
    return panel


def states(title: str, text: str, *asks: Ask, words: model.ValueMapping, span: int = WHOLE, height: int = 10) -> Panel:
    """Bars over time, in words."""
    panel = _dressed(statetimeline.Panel(), title, text, asks, span=span, height=height)
    legend = made.VizLegendOptions().show_legend(False)
    built: Panel = (
        panel.unit("none").mappings([words]).merge_values(True).show_value(common.VisibilityMode.NEVER).legend(legend)
    )
    return built


def numbers(
    title: str,
    text: str,
    *asks: Ask,
    unit: str = "none",
    words: model.ValueMapping | None = None,
    steps: Sequence[tuple[float | None, str]] = ((None, GOOD),),
    special: Sequence[tuple[str, model.ValueMapping]] = (),
    span: int = HALF,
    height: int = 5,
) -> Panel:
    """One tile for each series, now. `special`: other words for series whose name begins so."""
    panel = _dressed(stat.Panel(), title, text, asks, span=span, height=height, instant=True)
    panel = panel.unit(unit).thresholds(_steps(steps)).mappings([words] if words else [])
    panel = panel.graph_mode(common.BigValueGraphMode.NONE).color_mode(common.BigValueColorMode.BACKGROUND_SOLID)
    for name, other in special:
        panel = panel.override_by_regexp(f"/^{name}/", [model.DynamicConfigValue(id_val="mappings", value=[other])])
    built: Panel = panel.text_mode(common.BigValueTextMode.VALUE_AND_NAME)
    return built


def lines(
    title: str,
    text: str,
    *asks: Ask,
    unit: str,
    names: Iterable[str] = (),
    words: model.ValueMap | None = None,
    stacked: bool = False,
    share: bool = False,
    limit: float | None = None,
    span: int = HALF,
    height: int = 9,
) -> Panel:
    """Series over time. `names`: what legends begin with, each in its colour; `words`: what those are called that are
    values of the vocabulary; `limit`: a line where bad begins.
    """
    panel = _dressed(timeseries.Panel(), title, text, asks, span=span, height=height).unit(unit).min(0)
    legend = made.VizLegendOptions().display_mode(common.LegendDisplayMode.TABLE).show_legend(True)
    panel = panel.legend(legend.placement(common.LegendPlacement.RIGHT).calcs(["lastNotNull", "max"]))
    panel = panel.tooltip(
        made.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI).sort(common.SortOrder.DESCENDING)
    )
    if stacked or share:
        mode = common.StackingMode.PERCENT if share else common.StackingMode.NORMAL
        panel = panel.stacking(made.StackingConfig().mode(mode).group("A")).fill_opacity(60)
    if limit is not None:
        panel = panel.thresholds(_steps(((None, "transparent"), (limit, BAD))))
        panel = panel.thresholds_style(made.GraphThresholdsStyleConfig().mode(common.GraphThresholdsStyleMode.DASHED))
    built: Panel = _called(_coloured(panel, names), words) if words else _coloured(panel, names)
    return built


def heat(title: str, text: str, ask: Ask, *, span: int = HALF, height: int = 9) -> Panel:
    """A histogram's buckets over time: the darker, the more."""
    colours = heatmap.HeatmapColorOptions().mode(HeatmapColorMode.SCHEME).scheme("Cividis").steps(64)
    panel = _dressed(heatmap.Panel(), title, text, [ask], span=span, height=height, form=PromQueryFormat.HEATMAP).unit(
        "s"
    )
    built: Panel = panel.calculate(False).color(colours).y_axis(heatmap.YAxisConfig().unit("s"))
    return built


def rows(
    title: str,
    text: str,
    *asks: Ask,
    columns: Sequence[Column],
    joined: str | None = None,
    matrix: tuple[str, str] | None = None,
    words: model.ValueMapping | None = None,
    span: int = HALF,
    height: int = 9,
) -> Panel:
    """A table of now. `joined`: the field by which several queries become one row; `matrix`: (row, column) labels."""
    panel = _dressed(
        table.Panel(), title, text, asks, span=span, height=height, form=PromQueryFormat.TABLE, instant=True
    ).unit("none")
    if joined:
        panel = panel.with_transformation(_change("joinByField", {"byField": joined, "mode": "outer"}))
    if matrix:
        fields = {"rowField": matrix[0], "columnField": matrix[1], "valueField": "Value", "emptyValue": "null"}
        panel = panel.with_transformation(_change("groupingToMatrix", fields))
    else:
        panel = panel.with_transformation(_organized(columns))
    if words:
        panel = panel.mappings([words])
    if matrix:  # the values, not what stands at the beginning of each row
        panel = panel.override_by_regexp(f"/^(?!{matrix[0]})/", [_IN_COLOUR])
    for column in columns:
        panel = panel.override_by_name(column.title, list(_looks(column)))
    built: Panel = panel
    return built


def _change(name: str, options: object) -> model.DataTransformerConfig:
    return model.DataTransformerConfig(id_val=name, options=options)


def _organized(columns: Sequence[Column]) -> model.DataTransformerConfig:
    """These columns in this order, and none else: other labels of the scrape don't show."""
    return _change(
        "organize",
        {
            "includeByName": {column.field: True for column in columns},
            "indexByName": {column.field: index for index, column in enumerate(columns)},
            "renameByName": {column.field: column.title for column in columns},
        },
    )


def _looks(column: Column) -> Iterable[model.DynamicConfigValue]:
    if column.unit:
        yield model.DynamicConfigValue(id_val="unit", value=column.unit)
    if column.words:
        yield model.DynamicConfigValue(id_val="mappings", value=[column.words])
        yield _IN_COLOUR
    if column.width:
        yield model.DynamicConfigValue(id_val="custom.width", value=column.width)
    if column.link:
        yield model.DynamicConfigValue(id_val="links", value=[{"title": "Look closer", "url": column.link}])
