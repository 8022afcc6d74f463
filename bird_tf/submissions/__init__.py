"""Run files of BirdCLEF: their formats and rules, ids, and the time that they may take."""
