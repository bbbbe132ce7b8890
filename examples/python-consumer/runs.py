"""Status and output of every run, folded from records of `transitions`: the rule of docs/topics.md, "Following runs"."""

import json

# Record types that change what is told of a run, and the status that each leads to. All others are passed over unread.
STATUS = {
    "RunScheduled": "Scheduled",
    "RunStarted": "Running",
    "RunSkipped": "Skipped",
    "RunCompleted": "Completed",
    "RunFailed": "Failed",
    "RunCancelled": "Cancelled",
}
ON_THEIR_WAY = ("Scheduled", "Running")


class Runs:
    """A table of runs. Records of one run come in the order of their partition, and may come twice."""

    def __init__(self):
        self.rows = {}

    def take(self, body):
        """Takes the value of a record, decoded. Returns the run's row where it changed, else None."""
        transition = body["transition"]
        run_id, kind = body["runId"], transition["type"]
        row = self.rows.get(run_id)
        if kind == "RunScheduled":
            if row is not None:
                return None
            return self._put(run_id, "Scheduled", None)
        # A run whose beginning is no longer kept cannot be told, and one that has ended stays as it is.
        if row is None or row["status"] not in ON_THEIR_WAY:
            return None
        output = transition.get("output")
        return self._put(run_id, STATUS[kind], None if output is None else json.loads(output))

    def _put(self, run_id, status, output):
        self.rows[run_id] = {"run_id": run_id, "status": status, "output": output}
        return self.rows[run_id]
