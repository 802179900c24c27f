"""Owns the order of the page's parts: from one study's material to its page."""

from tuner.report.figures.curves import curves_figure
from tuner.report.figures.failures import failures_figure
from tuner.report.figures.fronts import front_figure
from tuner.report.figures.history import history_figure
from tuner.report.figures.parameters import importance_figure, parallel_figure
from tuner.report.figures.provenance import provenance_facts
from tuner.report.figures.sheets import trial_sheet, trials_figure
from tuner.report.figures.timeline import timeline_figure
from tuner.report.material import Material, shown
from tuner.report.page_model import StudyPage
from tuner.report.words import counted


def study_page(material: Material) -> StudyPage:
    """Return one study's part of the page."""
    trials = shown(material)
    return StudyPage(
        name=material.label,
        subtitle=_subtitle(material),
        verdict=material.verdict,
        figures=(
            front_figure(material, trials),
            curves_figure(material),
            history_figure(material, trials),
            importance_figure(material),
            parallel_figure(material, trials),
            failures_figure(material),
            timeline_figure(material, trials),
            trials_figure(material, trials),
        ),
        trials=tuple(trial_sheet(material, trial) for trial in trials),
        provenance=provenance_facts(material),
        thinned=_thinned(material, len(trials)),
    )


def _subtitle(material: Material) -> str:
    known = material.study.provenance
    parts = (material.study.spec.model, known.device, f"vLLM {known.vllm_version}" if known.vllm_version else None)
    return " · ".join(part for part in parts if part)


def _thinned(material: Material, count: int) -> str:
    launched = sum(not trial.state.is_unlaunched for trial in material.trials)
    if count == launched:
        return ""
    return (
        f"The charts show {count} of {counted(launched, 'trial')}: the answer, its rivals, the front, one failure of "
        "each kind, and an even choice of the rest. Counts, failures and the best so far are of all of them."
    )
