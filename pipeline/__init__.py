"""Landmark parquet to TFRecord data sets: conversion, statistics, scoring and filtering, without TensorFlow."""
