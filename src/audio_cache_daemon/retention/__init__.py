"""DECIDE: from columns and `now` to a plan. Pure: no clock, no disk, no log."""
