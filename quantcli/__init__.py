"""The public face for strategy authors: everything a strategy file imports comes from here.

from quantcli import Param, Strategy, keep
"""
