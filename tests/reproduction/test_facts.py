"""The numbers kept with the project are those that the recipes give on the rows that ship."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from probing_core.published.importer import store_import
from probing_core.published.layout import GEMMA, V1
from probing_core.published.paper import paper_difference
from probing_core.published.source import SHIPPED
from probing_core.store import Store
from reproduction import errata, figures
from reproduction.facts import FACTS, load_facts, write_facts
from tests.figures.test_style import assert_readable  # placeholder
