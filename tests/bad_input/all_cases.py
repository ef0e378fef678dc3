"""Every case, of all doors."""

from tests.bad_input.case import Case
from tests.bad_input.of_checkpoints import checkpoint_cases
from tests.bad_input.of_data import data_cases
from tests.bad_input.of_exports import export_cases
from tests.bad_input.of_formats import format_cases
from tests.bad_input.of_hub import hub_cases
from tests.bad_input.of_images import image_cases
from tests.bad_input.of_json import json_cases
from tests.bad_input.of_options import option_cases
from tests.bad_input.of_pictures import picture_cases
from tests.bad_input.of_python import python_cases, torch_cases
from tests.bad_input.of_requests import request_cases
from tests.bad_input.of_results import result_cases
from tests.bad_input.of_scores import score_cases
from tests.bad_input.of_server import server_cases
from tests.bad_input.of_training import training_cases


def all_cases(base: bool) -> list[Case]:
    """Those that can be made here: without the extras there are no networks to damage."""
    cases = [*score_cases(), *data_cases(), *image_cases(), *checkpoint_cases(), *option_cases(), *python_cases()]
    cases += [*training_cases(), *export_cases(), *server_cases(), *request_cases()]
    cases += [*picture_cases(), *json_cases(), *result_cases(), *hub_cases(), *format_cases()]
    cases = [case for case in cases if not case.torch] if base else [*cases, *torch_cases()]
    keys = [case.key for case in cases]
    assert len(set(keys)) == len(keys), sorted({key for key in keys if keys.count(key) > 1})
    return cases
