"""Trains with scikit-learn what is given on standard input, as `stance_models::training::train` does: thirteen candidates with their
hyper-parameters, each judged on what was left out of its fit, averaged by that, and all of it again without each of ten folds.

Processes are left out in closed form from their Cholesky factors, as the program does; scikit-learn has none for a whole pipeline, so
the others are refitted without each fold, there as here."""
import json
import sys
import time
import warnings

import numpy as np
from scipy.linalg import cho_solve
from sklearn.compose import TransformedTargetRegressor
from sklearn.cross_decomposition import PLSRegression
from sklearn.decomposition import PCA
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, DotProduct
from sklearn.linear_model import ElasticNet, Ridge
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR

FOLDS, COMPONENTS, TRUST = 10, 6, 0.5
NOISES, LENGTH_SCALES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0), (1.0, 2.0, 4.0)
# An intercept that may be anything: without it what is left out in closed form would have had its say in the mean.
INTERCEPT = ConstantKernel(1e4)
# As models/src/features has them.
WHOLE, PER_AXIS, COURSE, SPECTRA = range(0, 12), range(12, 120), range(120, 136), range(136, 172)
TIMES = [*WHOLE[:2], *COURSE[:3]]
MOVEMENT = [*WHOLE, *COURSE]
ORIENTATION_FREE = [*MOVEMENT, *SPECTRA]
PER_AXIS = list(PER_AXIS)


def weights(left_out, scores):
    """Of predictors, by their left-out errors (models/src/ensemble.rs)."""
    floor = scores.var() * 1e-3 + 1e-9
    logs = -TRUST * len(scores) / 2 * np.log(((left_out - scores) ** 2).mean(axis=1) + floor)
    raw = np.exp(logs - logs.max())
    return raw / raw.sum()


def left_out_mixture(left_out, scores):
    """What the average predicts for each with weights found without it."""
    n, floor = len(scores), scores.var() * 1e-3 + 1e-9
    squares = (left_out - scores) ** 2
    without = np.maximum(squares.sum(axis=1, keepdims=True) - squares, 0) / (n - 1)
    logs = -TRUST * (n - 1) / 2 * np.log(without + floor)
    raw = np.exp(logs - logs.max(axis=0))
    return (raw / raw.sum(axis=0) * left_out).sum(axis=0)


def mean(_, scores):
    n = len(scores)
    return (scores.sum() - scores) / (n - 1), lambda rows: np.full(len(rows), scores.mean())


def pipeline(estimator):
    """A fit of standardised rows to standardised scores, and its predictions of each fold that was left out."""

    def fit(rows, scores):
        made = make_pipeline(StandardScaler(), TransformedTargetRegressor(estimator(*rows.shape), transformer=StandardScaler()))
        left_out = cross_val_predict(made, rows, scores, cv=KFold(min(FOLDS, len(rows))))
        return left_out.ravel(), lambda asked, fitted=made.fit(rows, scores): fitted.predict(asked).ravel()

    return fit


def process(smooth):
    """Gaussian processes over the grid, averaged."""

    def fit(rows, scores):
        scaler = StandardScaler().fit(rows)
        x, level, n = scaler.transform(rows), scores.mean(), len(scores)
        if smooth:
            components = PCA(min(COMPONENTS, n - 1, rows.shape[1])).fit(x)
            size = np.sqrt(np.square(components.transform(x)).mean())
            place = lambda asked: components.transform(scaler.transform(asked)) / size
            kernels = [RBF(scale * np.sqrt(components.n_components_)) + INTERCEPT for scale in LENGTH_SCALES]
        else:
            place = lambda asked: scaler.transform(asked) / np.sqrt(rows.shape[1])
            kernels = [DotProduct(0.0, "fixed") + INTERCEPT]
        x, left_out, alphas = place(rows), [], []
        for kernel in kernels:
            for noise in NOISES:
                fitted = GaussianProcessRegressor(kernel, alpha=noise, optimizer=None).fit(x, scores - level)
                inverse = cho_solve((fitted.L_, True), np.eye(n)).diagonal()
                left_out.append(scores - fitted.alpha_ / inverse)
                alphas.append(fitted.alpha_)
        left_out = np.array(left_out)
        mixed = (weights(left_out, scores)[:, None] * np.array(alphas)).reshape(len(kernels), len(NOISES), n).sum(axis=1)
        predict = lambda asked: level + sum(kernel(place(asked), x) @ alpha for kernel, alpha in zip(kernels, mixed))
        return left_out_mixture(left_out, scores), predict

    return fit


CANDIDATES = [
    (TIMES, mean),
    (TIMES, pipeline(lambda n, p: Ridge(alpha=0.03 * n * p))),
    (TIMES, pipeline(lambda n, p: SVR(kernel="linear", C=2.0 / p, epsilon=0.1))),
    (TIMES, process(smooth=False)),
    (TIMES, process(smooth=True)),
    (MOVEMENT, pipeline(lambda n, p: ElasticNet(alpha=0.2, l1_ratio=0.5))),
    (MOVEMENT, pipeline(lambda n, p: PLSRegression(1, scale=False))),
    (MOVEMENT, process(smooth=False)),
    (MOVEMENT, process(smooth=True)),
    (ORIENTATION_FREE, process(smooth=False)),
    (PER_AXIS, pipeline(lambda n, p: PLSRegression(1, scale=False))),
    (PER_AXIS, process(smooth=False)),
    (PER_AXIS, process(smooth=True)),
]


def average(rows, scores):
    """A predictor that is the average of all candidates."""
    fits = [(columns, *fit(rows[:, columns], scores)) for columns, fit in CANDIDATES]
    shares = weights(np.array([left_out for _, left_out, _ in fits]), scores)
    return lambda asked: sum(share * predict(asked[:, columns]) for share, (columns, _, predict) in zip(shares, fits))


def train(rows, scores):
    """The predictor, and its errors: of predictors that saw nothing of what they predict."""
    errors = np.empty(len(scores))
    for kept, out in KFold(min(FOLDS, len(scores))).split(rows):
        errors[out] = average(rows[kept], scores[kept])(rows[out]) - scores[out]
    return average(rows, scores), errors


warnings.filterwarnings("ignore")
patients = [(np.array(patient["features"]), np.array(patient["scores"])) for patient in json.load(sys.stdin)]
begun = time.perf_counter()
errors = [np.abs(train(*patient)[1]).mean() for patient in patients]
print(json.dumps({"seconds": time.perf_counter() - begun, "error": float(np.mean(errors))}))
