import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from probing_core.errors import UserError
from probing_core.probes.estimators import DENSE_METHODS, DenseProbe, SparseProbe
from probing_core.probes.metrics import auc
from probing_core.probes.sparse import evaluate_top_k
from probing_core.saes.selection import RANKINGS
from tests.probes.support import draw, encoded, evaluate


@parametrize_with_checks(
    [DenseProbe(), DenseProbe("diff_mean"), SparseProbe(2, ranking="normalized_mean_difference")]
)
def test_scikit_learn_finds_no_fault(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def drawn(minilm_activations):
    """By number of rows: activations, labels, and 200 rows to test on."""
    activations = next(iter(minilm_activations.values()))
    return {n: draw(activations, n, flipped=0.05) for n in (2, 3, 8, 60, 300)}


@pytest.mark.parametrize("ranking", RANKINGS)
@pytest.mark.parametrize("n", [2, 3, 8, 60, 300])
def test_sparse_probe_gives_the_numbers_of_the_book(drawn, n, ranking):
    train, y_train, test, y_test = encoded(drawn[n])
    for k in (1, 16, 1000):
        given = {"ranking": ranking, "seed": 7}
        ((_, book),) = evaluate_top_k(train, y_train, test, y_test, ks=[k], **given)
        probe = SparseProbe(k, **given).fit(train, y_train)
        logits, chances = probe.decision_function(test), probe.predict_proba(test)[:, 1]
        assert auc(y_test, chances) == book.test_auc
        if len(np.unique(chances)) == len(np.unique(logits)):  # none of them rounded to a tie
            assert auc(y_test, logits) == book.test_auc
        assert np.mean(probe.predict(test) == y_test) == book.test_acc
        assert probe.val_auc_ == book.val_auc
        assert probe.hyperparameters_ == {"C": book.hyperparameters["C"]}
        assert len(probe.latents_) == book.hyperparameters["latents"]


def test_logits_themselves_give_the_test_auc_of_the_book(drawn):
    train, y_train, test, y_test = encoded(drawn[300])
    ((_, book),) = evaluate_top_k(
        train, y_train, test, y_test, ks=[16], ranking="mean_difference", seed=42
    )
    probe = SparseProbe(16).fit(train, y_train)
    assert auc(y_test, probe.decision_function(test)) == pytest.approx(book.test_auc, abs=1e-12)


@pytest.mark.parametrize("method", DENSE_METHODS)
@pytest.mark.parametrize("n", [2, 3, 8, 60, 300])
def test_dense_probe_gives_the_numbers_of_the_book(drawn, n, method):
    X_train, y_train, X_test, y_test = drawn[n]
    book = evaluate(method, X_train, y_train, X_test, y_test, seed=7)
    probe = DenseProbe(method, seed=7).fit(X_train, y_train)
    scores = probe.decision_function(X_test)
    if method == "logreg":
        scores = probe.predict_proba(X_test)[:, 1]
    assert auc(y_test, scores) == book.test_auc
    assert np.mean(probe.predict(X_test) == y_test) == book.test_acc
    assert (probe.val_auc_, probe.hyperparameters_) == (book.val_auc, book.hyperparameters)


@pytest.mark.parametrize("form", [sparse.csr_matrix, sparse.csc_array, lambda X: X.toarray()])
def test_sparse_probe_takes_latents_in_any_form(drawn, form):
    train, y_train, test, _ = encoded(drawn[60])
    as_csr, other = (SparseProbe(8).fit(X, y_train) for X in (train, form(train)))
    assert np.array_equal(as_csr.latents_, other.latents_)
    assert np.array_equal(as_csr.decision_function(test), other.decision_function(form(test)))


def test_sparse_probe_sees_only_the_latents_it_kept(drawn):
    train, y_train, test, _ = encoded(drawn[60])
    probe = SparseProbe(4).fit(train, y_train)
    blind = test.toarray()
    blind[:, np.setdiff1d(np.arange(blind.shape[1]), probe.latents_)] = 9
    assert np.array_equal(probe.decision_function(test), probe.decision_function(blind))
    assert set(np.flatnonzero(probe.coef_)) <= set(probe.latents_) and len(probe.latents_) == 4
    assert probe.coef_.shape == (1, train.shape[1])


@pytest.mark.filterwarnings("ignore::UserWarning")
@settings(max_examples=25, deadline=None)
@given(
    n=st.integers(4, 40),
    width=st.integers(1, 12),
    k=st.integers(1, 12),
    seed=st.integers(0, 2**31),
    names=st.sampled_from([(0, 1), (-1, 1), ("no", "yes"), (False, True)]),
)
def test_names_of_the_classes_change_no_score(n, width, k, seed, names):
    chance = np.random.default_rng(seed)
    X = (chance.random((n, width)) * (chance.random((n, width)) < 0.5)).astype(np.float32)
    y = np.r_[0, 1, chance.integers(0, 2, n - 2)]
    named = np.array(names)[y]
    plain, other = SparseProbe(k).fit(X, y), SparseProbe(k).fit(sparse.csr_array(X), named)
    assert np.array_equal(plain.decision_function(X), other.decision_function(X))
    assert np.array_equal(np.array(names)[plain.predict(X)], other.predict(X))
    assert np.allclose(other.predict_proba(X).sum(1), 1)
    assert np.isnan(other.val_auc_) or 0 <= other.val_auc_ <= 1


def test_probes_are_cloned_searched_and_validated_in_a_pipeline(drawn):
    X, y, _, _ = drawn[300]
    code = encoded(drawn[300])[0]
    dense = make_pipeline(StandardScaler(), DenseProbe())
    assert cross_val_score(dense, X, y, scoring="roc_auc", cv=3).min() > 0.6
    rectified = make_pipeline(FunctionTransformer(lambda X: np.maximum(X, 0)), SparseProbe(16))
    assert cross_val_score(rectified, X, y, scoring="roc_auc", cv=3).min() > 0.6
    found = GridSearchCV(SparseProbe(), {"k": [1, 32]}, scoring="roc_auc", cv=3).fit(code, y)
    assert found.best_params_ == {"k": 32}
    assert clone(SparseProbe(3, seed=1)).get_params() == SparseProbe(3, seed=1).get_params()


def test_dense_probe_ends_where_scikit_learn_does(drawn):
    X, y, _, _ = drawn[60]
    probe = DenseProbe().fit(X, y)
    order = np.random.RandomState(1).permutation(len(y))
    plain = LogisticRegression(C=probe.hyperparameters_["C"], max_iter=1000)
    plain.fit(X[order], y[order])
    assert np.allclose(probe.coef_, plain.coef_, atol=1e-5)


def test_difference_in_means_has_scores_but_no_chances(drawn):
    X, y, _, _ = drawn[60]
    probe = DenseProbe("diff_mean").fit(X, y)
    gap = X[y == 1].mean(0, dtype=float) - X[y == 0].mean(0, dtype=float)
    assert np.allclose(probe.coef_[0], gap)
    assert not hasattr(probe, "predict_proba")


def test_rows_sorted_by_class_are_warned_of(drawn):
    X, y, _, _ = drawn[300]
    order = np.argsort(y, kind="stable")
    with pytest.warns(UserWarning, match="shuffle the rows"):
        probe = DenseProbe().fit(X[order], y[order])
    assert np.isnan(probe.val_auc_)


@pytest.mark.parametrize(
    ("probe", "message"),
    [
        (SparseProbe(0), "at least 1"),
        (SparseProbe(ranking="mean_diference"), "mean_difference"),
        (DenseProbe("diffmean"), "diff_mean"),
    ],
)
def test_wrong_options_are_named_with_the_nearest(drawn, probe, message):
    X, y, _, _ = drawn[60]
    with pytest.raises(UserError, match=message):
        probe.fit(X, y)


def test_labels_of_one_class_are_refused(drawn):
    with pytest.raises(ValueError, match="one class"):
        SparseProbe().fit(drawn[60][0], np.ones(60))
