"""The result record of a compound: quantities with unit, error bar, method and verdict."""

from __future__ import annotations

import dataclasses
from typing import Any

from aiida.common.exceptions import ValidationError
from aiida.orm import Data

from aiida_iontherm.physics.quantity import Quantity


class ResultData(Data):
    """A list of `Quantity` records."""

    def __init__(self, quantities: list[Quantity] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if quantities is not None:
            self.base.attributes.set("records", [quantity.to_dict() for quantity in quantities])

    @property
    def quantities(self) -> list[Quantity]:
        """The quantities; one without a source of its own names this node."""
        quantities = [Quantity.from_dict(record) for record in self.base.attributes.get("records")]
        return [q if q.uuid else dataclasses.replace(q, uuid=self.uuid) for q in quantities]

    def _validate(self) -> bool:
        super()._validate()
        records = self.base.attributes.get("records", None)
        if records is None:
            raise ValidationError("a result needs a list of quantities")
        try:
            for record in records:
                Quantity.from_dict(record)
        except (TypeError, ValueError) as error:
            raise ValidationError(f"a record is not a quantity: {error}") from error
        return True
