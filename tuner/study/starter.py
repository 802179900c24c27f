"""The study file that `tuner init` writes: every section, defaults for a night on an H100, comments that teach."""

import json
from string import Template

_TEMPLATE = Template("""\
# A study: one model, one GPU, one workload, one set of latency limits, one search space.
#   tuner check FILE   validates this file and shows the server commands, without starting any
#   tuner run FILE     measures; Ctrl-C stops after the current trial, `tuner resume` goes on
#   tuner best --target-rps $target_rps   answers which flags to deploy
# Unknown keys are errors. Durations are written 500ms, 30s, 5min or 8h.

# The study's name in the result file. The same name continues the study; change any key but the budget, the engine's
# port, timeout or interpreter, and a new name is needed, because measurements would no longer be comparable.
study: $study

# A local directory or a hub name.
model: $model

# The requests per second that you have to serve. Every configuration is measured at this rate, and at multiples of it.
target_rps: $target_rps

# What a deployment must keep: ttft (time to first token), tpot (time per output token), itl (between tokens) or e2e
# (the whole request), each as _mean, _p50, _p90, _p95 or _p99. Capacity is the rate up to which all of them hold.
slos:
  ttft_p95: 500ms
  tpot_p95: 50ms

# What requests are like: the name of a shipped workload (chat, summarise, rag, conversation, five-lessons and more:
# `tuner workloads` lists them), a path such as ./my-workload.yaml, or the workload itself, as here. It can start from
# another one ({base: chat, seed: 7}), mix classes, share prefixes, hold conversations, chain calls, or replay
# a recorded trace: docs/workloads.md has every key. A length is a number of tokens, or a distribution:
#   {type: uniform, low: 128, high: 1024}
#   {type: normal, mean: 512, sd: 128, low: 16, high: 2048}
#   {type: lognormal, median: 300, sigma: 0.8, low: 16, high: 4096}
#   {type: empirical, values: [128, 512, 2048], weights: [3, 2, 1]}
workload:
  input_tokens: 512
  output_tokens: 128
  ignore_eos: true  # answers have exactly the length asked for

# Which flags are tuned: the name of a shipped space (scheduler, memory, full, quality-tradeoffs, quickstart), a path
# such as ./my-space.yaml, or the space itself, as here:
#   search_space:
#     parameters:
#       max-num-seqs: {type: int, low: 16, high: 512, log: true}
#       max-num-batched-tokens: {type: int, low: 1024, high: 16384, log: true}
#     constraints:
#       - max-num-batched-tokens >= max-num-seqs
search_space: $search_space

# Configurations measured right after vLLM's defaults: put the flags here that you run today, and the answer says what
# they cost you.
candidates: []
#  - --max-num-seqs 256 --max-num-batched-tokens 8192
#  - {max-num-seqs: 128, gpu-memory-utilization: 0.95}

# An earlier study, of another GPU or vLLM perhaps: its best configurations are measured anew, after the candidates.
warm_start: null
#  study: qwen3-8b-a100
#  db: a100.db  # its result file; without it, this study's own

engine:
  # The interpreter that has vLLM. Without it: .venv-vllm, the tuner's own interpreter, then `vllm` on PATH.
  # vllm_python: .venv-vllm/bin/python
  # Flags of every launch, vLLM's defaults included. max-model-len is set to the workload's longest request unless you
  # fix it here.
  flags: {}
  # Environment of every launch. Secrets such as HF_TOKEN don't belong here: export them in your shell.
  env: {}
  # gpus: [0]  # which GPUs a launch sees; all of them without it
  start_timeout: 30min  # how long a launch may take to answer its first request
  hang_timeout: 60s  # how long no token may come under load before the engine counts as hung

# How each trial is loaded: Poisson arrivals, at target_rps first, then wherever the search for the highest rate that
# keeps the limits wants to look.
load:
  highest: 4           # it looks up to this many times target_rps,
  lowest: 0.25         # and down to this many where the target itself is too much
  tolerance: 0.05      # the capacity is wanted to 5 % to either side, with 90 % confidence,
  time_budget: 10min   # but no trial is loaded for longer than this; the interval says what that costs
  duration: 60s        # at target_rps
  min_requests: 100    # a slow rate lasts longer, so that percentiles mean something
  warmup_requests: 32  # sent first, kept out of every figure
  warmup_concurrency: 8
  concurrency: []      # closed-loop points after the search, by number of users: throughput at saturation
  drain: 30s           # how long requests may still run after the last arrival

# What the sampler improves, one to three of them: capacity_rps (as high as possible), or a latency at target_rps such
# as ttft_p95 (as low as possible).
objectives: [capacity_rps, ttft_p95]

sampler:
  name: tpe          # or random, or gp (pip install 'tuner[gp]')
  seed: 0
  startup_trials: 8  # random ones before the sampler's model is used

# What is measured again on fresh launches: vLLM's defaults now and then, to see whether the machine measures as it
# did; and at the end the best beside the defaults, so that the answer is a confirmed one.
repeats:
  drift_every: 10  # trials between two measurements of the defaults; null for none
  finalists: 2     # how many of the best are measured again, at the most,
  confirm: 2       # and how often each, at the most; 0 for none

# The study ends at whichever comes first. A trial takes 5 to 10 minutes: a start, a warm-up and a few load points.
budget:
  hours: 12
  # trials: 60
  # until: "07:00"
""")


def starter(
    model: str = "Qwen/Qwen3-8B",
    *,
    study: str = "overnight",
    search_space: str = "scheduler",
    target_rps: float = 10,
) -> str:
    """Return a commented study file, valid as it is.

    Args:
        model: a local directory or a hub name.
        study: the study's name.
        search_space: a shipped space's name, or a path.
        target_rps: requests per second.
    """
    return _TEMPLATE.substitute(
        model=_quoted(model), study=_quoted(study), search_space=_quoted(search_space), target_rps=f"{target_rps:g}"
    )


def _quoted(text: str) -> str:
    """Return the text as YAML: bare where that is safe, else as a JSON string, which YAML reads too."""
    is_bare = (
        text.isascii() and text[:1].isalpha() and text.replace("-", "").replace("/", "").replace(".", "").isalnum()
    )
    return text if is_bare and text.lower() not in {"true", "false", "null"} else json.dumps(text)
