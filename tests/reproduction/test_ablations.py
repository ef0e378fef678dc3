"""The ablations' networks are what their names say."""

from unipan.reproduction.ablations import MODELS, photos_recipe, plain, scenes_recipe


def test_what_the_letters_of_table_1_stand_for() -> None:
    found = {}
    for letter in ("A", "A+", "B", "C", "C+", "D"):
        config = MODELS[letter].build(scenes_recipe())
        assert (config.loss.potential > 0) is config.affinity.enabled
        found[letter] = (config.detection.masks, config.affinity.enabled, config.loss.panoptic > 0)
    assert found == {
        "A": (False, False, False),
        "A+": (False, False, True),
        "B": (False, True, True),
        "C": (True, False, False),
        "C+": (True, False, True),
        "D": (True, True, True),
    }


def test_a_model_of_equal_time_is_the_same_network() -> None:
    for key, model in MODELS.items():
        if model.as_long_as is not None:
            assert model.build(scenes_recipe()) == MODELS[key.split(" as ")[0]].build(scenes_recipe())
            assert MODELS[model.as_long_as].as_long_as is None


def test_plain_is_without_what_is_ours() -> None:
    for letter in ("B", "D"):
        config, full = MODELS[f"{letter} plain"].build(scenes_recipe()), MODELS[letter].build(scenes_recipe())
        assert (config.affinity.positional_encoding, config.loss.potential) == (0, 0)
        assert full.affinity.positional_encoding > 0
        assert plain(full) == config
        photos = MODELS[letter].build(photos_recipe())
        assert photos.affinity.rope > 0
        assert photos.loss.mask_kind == "both"
        found = plain(photos)
        assert (found.affinity.rope, found.loss.mask_kind) == (0, "lovasz")
