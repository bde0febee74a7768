"""From a trained PyTorch network to a core array: conversion, mapping, verification, build."""
