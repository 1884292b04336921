"""What a report says first, in sentences."""

from gedi_nesy.report.verdict import verdict

GIVEN = {
    "certificate.certified": True,
    "certificate.failures": [],
    "certificate.D": 0.0491,
    "certificate.matching_margin": 0.326,
    "certificate.restart_agreement": None,
}


def test_a_given_certificate_says_why_and_labels_come_last():
    energies = {"certificate.energy_gap": -2.21, "certificate.sample_distance": 1.197}
    found = verdict(GIVEN | energies | {"accuracy": 0.9877, "cluster_accuracy": 1, "constraint_satisfaction": 0.9665})
    assert "given" in found[0]
    assert "(D = 0.049 nats, 0 at best), and the symbols found by matching lead all others by 32.6%." in found[0]
    assert "2.2 nats from the images, and 1.20 times as far" in found[1]
    assert found[2:] == [
        "Labels, which training never saw, say: 98.77% of the test images get their true symbol, and the symbols of "
        "96.65% of the test examples satisfy the rule."
    ]


def test_a_withheld_certificate_names_its_doubts():
    doubts = {"certificate.certified": False, "certificate.failures": ["cluster collapse", "imbalance"]}
    rival = verdict(GIVEN | {"certificate.rival_lead": 0.22})[0]
    assert rival.endswith("all others by 32.6%; a network that learned others fits the rule 0.22 nats worse.")
    assert verdict(doubts)[0].startswith("The certificate is withheld: cluster collapse, imbalance. Look at")
    none = verdict({"certificate.certified": False, "certificate.failures": []})
    assert none[0].startswith("The certificate is withheld: nothing confirms")


def test_a_table_and_clusters_have_their_own_sentences():
    rows = {"train_constraint_satisfaction": 0.98, "break_the_rule": 12}
    assert verdict(rows) == ["The symbols of 98.00% of the rows satisfy the rule; 12 of the rows break it."]
    assert "99.00% of the test examples are in their class's cluster" in verdict({"cluster_accuracy": 0.99})[0]


def test_a_summary_from_anybody_is_no_reason_to_fail():
    assert verdict({}) == []
    assert verdict({"accuracy": "high", "certificate.certified": True, "certificate.D": None})
