"""What Triton's own client does against the server, with its defaults: raw tensors both ways."""
import http.client
import json
import os

import numpy as np
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

name, version = os.environ["MODEL"], os.environ["VERSION"]
headers = {"Authorization": "Bearer " + os.environ["TOKEN"]}
client = triton.InferenceServerClient(url=os.environ["URL"])

assert client.is_server_live() and client.is_server_ready()
assert client.get_server_metadata(headers=headers)["name"] == "stance"
assert client.is_model_ready(name, headers=headers) and client.is_model_ready(name, version, headers=headers)
assert not client.is_model_ready("ghost", headers=headers)
metadata = client.get_model_metadata(name, headers=headers)
assert metadata["versions"] == [version], metadata
assert {output["name"] for output in metadata["outputs"]} == {"score", "lower", "upper", "novelty"}, metadata
width = metadata["inputs"][0]["shape"][1]


def ask(array, input_name, datatype, **more):
    tensor = triton.InferInput(input_name, list(array.shape), datatype)
    tensor.set_data_from_numpy(array)
    return client.infer(name, [tensor], headers=headers, **more)


recording = np.array([os.environ["RECORDING"].encode()], dtype=object)
answer = ask(recording, "recording", "BYTES", request_id="7")
assert answer.get_response()["id"] == "7" and answer.get_response()["model_version"] == version
score, lower, upper, novelty = (answer.as_numpy(output)[0] for output in ("score", "lower", "upper", "novelty"))
assert 0 <= lower <= score <= upper <= 100

# The same in JSON, both ways: the same numbers to the last bit.
by_hand = http.client.HTTPConnection(os.environ["URL"])
body = {"inputs": [{"name": "recording", "shape": [1], "datatype": "BYTES", "data": [os.environ["RECORDING"]]}]}
by_hand.request("POST", f"/v2/models/{name}/infer", json.dumps(body), {"Authorization": headers["Authorization"]})
outputs = json.loads(by_hand.getresponse().read())["outputs"]
assert [output["data"][0] for output in outputs] == [score, lower, upper, novelty], outputs

rows = np.linspace(0, 1, 3 * width).reshape(3, width)
many = ask(rows, "features", "FP64", model_version=version).as_numpy("score")
assert many.shape == (3,)
for row, expected in zip(rows, many):
    assert ask(row.reshape(1, width), "features", "FP64").as_numpy("score")[0] == expected
one = triton.InferRequestedOutput("upper", binary_data=False)
answer = ask(rows.astype(np.float32), "features", "FP32", outputs=[one], timeout=5_000_000, priority=2)
assert answer.as_numpy("upper").shape == (3,) and answer.as_numpy("score") is None

client.unload_model(name, headers=headers)
assert not client.is_model_ready(name, headers=headers)
(entry,) = client.get_model_repository_index(headers=headers)
assert (entry["name"], entry["version"], entry["state"], entry["reason"]) == (name, version, "UNAVAILABLE", "unloaded")
try:
    ask(rows, "features", "FP64")
    raise AssertionError("an unloaded model answered")
except InferenceServerException as error:
    assert "unloaded" in error.message(), error
client.load_model(name, headers=headers)
assert client.is_model_ready(name, headers=headers)
(entry,) = client.get_model_repository_index(headers=headers)
assert (entry["state"], entry["reason"]) == ("READY", ""), entry
ask(rows, "features", "FP64")

for statistics in (
    client.get_inference_statistics(headers=headers),
    client.get_inference_statistics(name, headers=headers),
    client.get_inference_statistics(name, version, headers=headers),
):
    (model,) = statistics["model_stats"]
    assert (model["name"], model["version"]) == (name, version)
    assert model["inference_stats"]["success"]["count"] == model["execution_count"] == 8, model
    assert model["inference_count"] == 1 + 1 + 3 + 3 + 3 + 3, model
    assert model["last_inference"] > 0 and model["batch_stats"], model
print("everything works")
