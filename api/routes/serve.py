"""POST /models/{model}/serve: replaces the version of a served model without refusing a request."""

from __future__ import annotations

import msgspec
from fastapi import APIRouter, Request, Response

from api.auth import caller_of
from api.http.problems import Problem
from api.http.responses import answer
from api.inference.replace import replaced
from api.intake.bodies import decode_one, read_body
from api.services import Serving

router = APIRouter()


class ServeRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Folder of `model_root` to load; null: the folder from which the model was loaded."""

    folder: str | None = None


class Served(msgspec.Struct, frozen=True, kw_only=True):
    """The version that is served now and its predecessor. `under_way`: requests that the predecessor still finishes."""

    model: str
    model_version: str
    model_type: str
    sha256: str
    examples_checked: int
    cautions: tuple[str, ...]
    previous_version: str
    previous_sha256: str
    under_way: int


_requests = msgspec.json.Decoder(ServeRequest)


@router.post("/models/{model}/serve")
async def post_serve(request: Request, model: str, services: Serving) -> Response:
    """Load a bundle and serve it in place of the current version; 200 once it is served.

    Raises Problem 404 where the model is not served here; else as `replaced`.
    """
    served = services.served_models.get(model)
    if served is None:
        raise Problem(404, f"no model {model!r} is served here: start the API with its folder in --model-path")
    body = await read_body(request)
    asked = decode_one(body, _requests) if body.strip() else ServeRequest()
    folder = services.served_models.folder_of(served, asked.folder)
    noted = caller_of(request).audited("model.served", model, {"folder": folder.name})
    done = await replaced(services, served, folder, noted)
    new, old = done.new.bundle, done.old.bundle
    return answer(Served(
        model=model, model_version=new.training.model_version, model_type=new.training.model_type, sha256=new.sha256,
        examples_checked=new.examples, cautions=new.cautions, previous_version=old.training.model_version,
        previous_sha256=old.sha256, under_way=done.under_way,
    ))  # fmt: skip
