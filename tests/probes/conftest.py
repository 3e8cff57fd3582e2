import numpy as np, pytest
@pytest.fixture(scope="session")
def minilm_activations():
    d = np.load('/tmp/env/acts.npz')
    return {t: (d[t+'|X'][:700], d[t+'|y'][:700]) for t in ('5_hist_fig_ismale','90_glue_qnli','113_movie_sent')}
