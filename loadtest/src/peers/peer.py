"""The peer's side: a repository of models for MLServer."""
import json
import os
import sys

import joblib
import numpy as np
from sklearn.linear_model import Ridge

folder, count, width = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
random = np.random.default_rng(1)
rows = random.normal(size=(200, width))
model = Ridge().fit(rows, 50 + rows @ random.normal(size=width))
for number in range(count):
    place = os.path.join(folder, f"m-{number}")
    os.makedirs(place)
    joblib.dump(model, os.path.join(place, "model.joblib"))
    with open(os.path.join(place, "model-settings.json"), "w") as file:
        json.dump({"name": f"m-{number}", "implementation": "mlserver_sklearn.SKLearnModel",
                   "parameters": {"uri": "./model.joblib", "version": "1"}}, file)
