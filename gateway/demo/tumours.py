"""Wisconsin breast cancer data, bundled with scikit-learn: 30 measurements of each of 569 tumours."""

import numpy as np
import pandas as pd
from sklearn.datasets import load_breast_cancer

TARGET = "benign"


def tumour_frame(seed: int) -> pd.DataFrame:
    """Return all tumours in an order drawn with `seed`: 30 float columns and TARGET (0: malignant)."""
    bunch = load_breast_cancer()
    names = [str(name).replace(" ", "_") for name in bunch.feature_names]
    frame = pd.DataFrame(bunch.data, columns=names).assign(**{TARGET: bunch.target.astype("int64")})
    order = np.random.default_rng(seed).permutation(len(frame))
    return frame.iloc[order].reset_index(drop=True)
