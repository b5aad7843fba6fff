"""The peer's side: makes a repository of models for MLServer, or trains with scikit-learn what is given on standard input."""
import json
import os
import sys
import time

import numpy as np


def repository(folder, count, width):
    import joblib
    from sklearn.linear_model import Ridge

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


def train():
    """Leave one out for each candidate, then the best one on all: as the program does, with the same candidates."""
    from sklearn.cross_decomposition import PLSRegression
    from sklearn.dummy import DummyRegressor
    from sklearn.linear_model import ElasticNet, Ridge
    from sklearn.model_selection import LeaveOneOut, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    given = json.load(sys.stdin)
    blocks = {"times": slice(0, 2), "whole": slice(0, 12), "per_axis": slice(12, None), "both": slice(None)}
    candidates = [("times", DummyRegressor())]
    for block, strengths in (("times", (0.1, 0.02)), ("whole", (0.1, 0.03, 0.01)), ("per_axis", (0.1, 0.03)), ("both", (0.03,))):
        candidates += [(block, Ridge(alpha=30 * strength)) for strength in strengths]
    candidates += [("whole", PLSRegression(1)), ("whole", ElasticNet(alpha=0.2)), ("per_axis", PLSRegression(1))]
    begun = time.perf_counter()
    for patient in given:
        rows, scores = np.array(patient["features"]), np.array(patient["scores"])
        best = None
        for block, estimator in candidates:
            pipeline = make_pipeline(StandardScaler(), estimator)
            predicted = cross_val_predict(pipeline, rows[:, blocks[block]], scores, cv=LeaveOneOut())
            error = np.abs(predicted.ravel() - scores).mean()
            if best is None or error < best[0]:
                best = (error, block, pipeline)
        best[2].fit(rows[:, blocks[best[1]]], scores)
    print(json.dumps({"seconds": time.perf_counter() - begun}))


if sys.argv[1] == "repository":
    repository(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
else:
    train()
