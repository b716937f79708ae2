"""The group type of campaigns. Whatever can be asked of one is read from the runs it holds, never kept beside them."""

from __future__ import annotations

from aiida.orm import Group, ProcessNode


class CampaignGroup(Group):
    """Runs of `MaterialWorkChain` that belong together."""

    def runs(self) -> list[ProcessNode]:
        """Return the runs in the order in which they were started."""
        return sorted(self.nodes, key=lambda node: node.ctime)


def add_run(label: str, run: ProcessNode) -> CampaignGroup:
    """Put a run into the campaign of this label, which is made if there is none."""
    group, _ = CampaignGroup.collection.get_or_create(label=label)
    group.add_nodes(run)
    return group
