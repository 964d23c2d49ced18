# SPDX-License-Identifier: Apache-2.0
"""cluster.toml: schema and reading."""
