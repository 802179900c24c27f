"""The options of `tuner plan`: what is asked, and vLLM's own flags of memory and speed by their own names."""

from typing import Annotated

import typer

Model = Annotated[str | None, typer.Option("--model", help="A local directory, a config.json, or a hub name.")]
Gpus = Annotated[
    list[str] | None,
    typer.Option("--gpu", help="A GPU by name (see `tuner gpus`), several times for columns; else this machine's."),
]
InputTokens = Annotated[
    float | None, typer.Option("--input-tokens", help="Mean tokens of a prompt: 500 unless a study says.")
]
OutputTokens = Annotated[
    float | None, typer.Option("--output-tokens", help="Mean tokens of an answer: 50 unless a study says.")
]
Rps = Annotated[float | None, typer.Option("--rps", help="Requests per second to serve: 10 unless a study says.")]
TensorParallel = Annotated[
    int | None, typer.Option("--tp", "--tensor-parallel-size", help="GPUs that share each layer.")
]
PipelineParallel = Annotated[int | None, typer.Option("--pp", "--pipeline-parallel-size", help="Stages of layers.")]
Dtype = Annotated[str | None, typer.Option("--dtype", help="As vLLM's: auto, bfloat16, half, float32.")]
KvCacheDtype = Annotated[str | None, typer.Option("--kv-cache-dtype", help="As vLLM's: auto, fp8, …")]
GpuMemoryUtilization = Annotated[
    float | None, typer.Option("--gpu-memory-utilization", help="Share of the memory that vLLM takes: 0.92.")
]
MaxModelLen = Annotated[
    str | None, typer.Option("--max-model-len", help="The longest request; else the model's own limit.")
]
BlockSize = Annotated[int | None, typer.Option("--block-size", help="Tokens of a block of the KV cache.")]
MaxNumSeqs = Annotated[int | None, typer.Option("--max-num-seqs", help="Requests at a time at the most.")]
MaxNumBatchedTokens = Annotated[
    str | None, typer.Option("--max-num-batched-tokens", help="Tokens of a step at the most.")
]
EnforceEager = Annotated[bool, typer.Option("--enforce-eager", help="Without CUDA graphs.")]
VllmVersion = Annotated[
    str | None, typer.Option("--vllm-version", help="An older vLLM, such as 0.11.2, reserved other amounts.")
]
